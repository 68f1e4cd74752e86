"""Cut texts and questions into words, alike.

The collation is named, so that upper case and letters mean the same on every server, whatever
locale its databases have.

Revision ID: 20261121_0900
Revises:
"""

from alembic import op

revision = "20261121_0900"
down_revision = None
branch_labels = None
depends_on = None

# Readers and typists treat the Cyrillic letters U+0451 (yo) and U+0435 (ye) as one.
CUT = r"""
CREATE FUNCTION search_words(input text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT btrim(regexp_replace(
    replace(lower(coalesce(input, '') COLLATE "pg_c_utf8"), U&'\0451', U&'\0435') COLLATE "pg_c_utf8",
    '[^[:alnum:]]+', ' ', 'g'))
$$
"""

# Words as they are stand beside their stems: `playstati` begins `playstation`, but not its stem
# `playstat`, so whoever types a word to its end would lose it on the way.
DOCUMENT = """
CREATE FUNCTION search_document(VARIADIC parts text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_tsvector('pg_catalog.russian', words) || strip(to_tsvector('pg_catalog.simple', words))
  FROM search_words(array_to_string(parts, ' ')) AS words
$$
"""

# A number in E.164 is found by its beginning with the country's one to three digits, and
# without them; `shortest` adds every ending down to that length.
PHONE = """
CREATE FUNCTION phone_document(phone_key text, shortest int DEFAULT 0) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT coalesce(array_to_tsvector(array_agg(substr(digits, start))), ''::tsvector)
  FROM (SELECT substr(phone_key, 2) AS digits) AS number,
       generate_series(1, CASE WHEN shortest = 0 THEN 4 ELSE length(digits) - shortest + 1 END) AS start
  WHERE substr(digits, start) <> ''
$$
"""

# A word without weight (`на`) counts only where nothing else was asked: it may be the beginning
# of one that has weight (`насос`), or be meant as it stands. 255 letters are more than any word,
# and more than 16 words more than any question; such a query is null and matches nothing.
QUERY = """
CREATE FUNCTION search_query(input text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
SET client_min_messages = warning AS $$
DECLARE
  words text[] := string_to_array(search_words(input), ' ');
  word text;
  digits text := regexp_replace(input, '[^0-9]', '', 'g');
  stem tsquery;
  plain tsquery;
  found tsquery := ''::tsquery;
  weightless tsquery := ''::tsquery;
BEGIN
  IF cardinality(words) > 16 THEN
    RETURN NULL;
  END IF;
  FOREACH word IN ARRAY words LOOP
    IF length(word) > 255 THEN
      RETURN NULL;
    END IF;
    stem := to_tsquery('pg_catalog.russian', quote_literal(word) || ':*');
    plain := to_tsquery('pg_catalog.simple', quote_literal(word) || ':*');
    IF numnode(stem) = 0 THEN
      weightless := weightless && plain;
    ELSIF stem = plain THEN
      found := found && plain;
    ELSE
      found := found && (stem || plain);
    END IF;
  END LOOP;
  IF numnode(found) = 0 THEN
    found := weightless;
  END IF;
  IF input ~ '^[0-9[:space:]()+./-]+$' AND length(digits) BETWEEN 4 AND 20 THEN
    found := found || to_tsquery('pg_catalog.simple', quote_literal(digits) || ':*');
    IF digits ~ '^[08].{4}' THEN  -- dialled inland: the prefix is not part of the number
      found := found || to_tsquery('pg_catalog.simple', quote_literal(substr(digits, 2)) || ':*');
    END IF;
  END IF;
  RETURN CASE WHEN numnode(found) > 0 THEN found END;
END
$$
"""


def upgrade() -> None:
    for function in (CUT, DOCUMENT, PHONE, QUERY):
        op.execute(function)


def downgrade() -> None:
    for function in (
        "search_query(text)",
        "phone_document(text, int)",
        "search_document(text[])",
        "search_words(text)",
    ):
        op.execute(f"DROP FUNCTION {function}")
