"""Find quoted phrases, mark what was found, know the words that exist, and store fewer of them.

Safe while the old code runs: it calls ``search_query`` and ``search_document`` as before, and gains
phrases. Documents that are there already stay as they are and are found all the same; they
become smaller, and know their title from the rest, when their tickets change.

Revision ID: 20261121_1530
Revises: 20261121_1520
"""

import sqlalchemy as sa
from alembic import op

revision = "20261121_1530"
down_revision = "20261121_1520"
branch_labels = None
depends_on = None

# A word is stored as it stands only where something could be missed without: what is typed of
# `waters` is the beginning of its stem `water`, or the whole word, whose stem is the same.
DOCUMENT = """
CREATE OR REPLACE FUNCTION search_document(VARIADIC parts text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT stems || ts_delete(
    strip(plain),
    ARRAY(SELECT word FROM unnest(tsvector_to_array(plain)) AS word
          WHERE left(word, -1) = ANY(tsvector_to_array(stems))))
  FROM search_words(array_to_string(parts, ' ')) AS words,
       to_tsvector('pg_catalog.russian', words) AS stems,
       to_tsvector('pg_catalog.simple', words) AS plain
$$
"""

OLD_DOCUMENT = """
CREATE OR REPLACE FUNCTION search_document(VARIADIC parts text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT to_tsvector('pg_catalog.russian', words) || strip(to_tsvector('pg_catalog.simple', words))
  FROM search_words(array_to_string(parts, ' ')) AS words
$$
"""

# What stands between quotes is a phrase: these words in this order, in any form. A quote that is
# not closed is a sign like any other. `apart` takes phrases for single words: an index knows no
# order, and would have each row read that has all of them.
TERMS = r"""
CREATE FUNCTION search_terms(input text, apart boolean) RETURNS tsquery[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT
SET client_min_messages = warning AS $$
DECLARE
  parts text[] := string_to_array(translate(input, U&'\00AB\00BB\201C\201D\201E', repeat('"', 5)), '"');
  digits text := regexp_replace(input, '[^0-9]', '', 'g');
  dialled boolean := input ~ '^[0-9[:space:]()+./"-]+$' AND length(digits) BETWEEN 4 AND 20;
  beginning text := CASE WHEN dialled AND length(digits) > 6 THEN '' ELSE ':*' END;
  words text[];
  word text;
  asked int := 0;
  quoted boolean;
  phrase tsquery;
  stem tsquery;
  plain tsquery;
  number tsquery := ''::tsquery;
  found tsquery[] := '{}';
  weightless tsquery[] := '{}';
BEGIN
  FOR part IN 1 .. cardinality(parts) LOOP
    words := string_to_array(search_words(parts[part]), ' ');
    asked := asked + cardinality(words);
    IF asked > 16 OR EXISTS (SELECT FROM unnest(words) AS long WHERE length(long) > 255) THEN
      RETURN NULL;
    END IF;
    phrase := phraseto_tsquery('pg_catalog.russian', array_to_string(words, ' '));
    quoted := part % 2 = 0 AND part < cardinality(parts) AND numnode(phrase) > 0;
    IF quoted AND NOT apart THEN
      found := found || phrase;
      CONTINUE;
    END IF;
    FOREACH word IN ARRAY words LOOP
      IF quoted THEN
        stem := plainto_tsquery('pg_catalog.russian', word);
        found := found || CASE WHEN numnode(stem) > 0 THEN ARRAY[stem] END;
        CONTINUE;
      END IF;
      stem := to_tsquery('pg_catalog.russian', quote_literal(word) || beginning);
      plain := to_tsquery('pg_catalog.simple', quote_literal(word) || beginning);
      IF numnode(stem) = 0 THEN
        weightless := weightless || plain;
      ELSE
        -- What begins with the word begins with its stem, but for `happy` and `happi`.
        found := found || (CASE WHEN starts_with(word, btrim(split_part(stem::text, ':', 1), chr(39)))
                                THEN stem ELSE stem || plain END);
      END IF;
    END LOOP;
  END LOOP;
  IF cardinality(found) = 0 THEN
    found := weightless;
  END IF;
  IF dialled THEN
    FOREACH stem IN ARRAY found LOOP
      number := number && stem;
    END LOOP;
    number := number || to_tsquery('pg_catalog.simple', quote_literal(digits) || ':*');
    IF digits ~ '^[08].{4}' THEN  -- dialled inland: the prefix is not part of the number
      number := number || to_tsquery('pg_catalog.simple', quote_literal(substr(digits, 2)) || ':*');
    END IF;
    found := ARRAY[number];
  END IF;
  RETURN CASE WHEN cardinality(found) > 0 THEN found END;
END
$$
"""

QUERY = """
CREATE OR REPLACE FUNCTION search_query(input text) RETURNS tsquery
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
DECLARE
  term tsquery;
  found tsquery := ''::tsquery;
BEGIN
  FOREACH term IN ARRAY coalesce(search_terms(input, false), '{}') LOOP
    found := found && term;
  END LOOP;
  RETURN CASE WHEN numnode(found) > 0 THEN found END;
END
$$
"""

OLD_QUERY = """
CREATE OR REPLACE FUNCTION search_query(input text) RETURNS tsquery
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

# The text with everything but letters and digits turned into spaces, one for one, so that words
# are cut as in the document and every place is the same in what was written; two characters
# that are neither letters nor digits stand around each word that was found.
MARKED = r"""
CREATE FUNCTION search_marked(input text, question tsquery) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT AS $$
  SELECT ts_headline(
    'pg_catalog.russian',
    regexp_replace(
      replace(lower(input COLLATE "pg_c_utf8"), U&'\0451', U&'\0435') COLLATE "pg_c_utf8",
      '[^[:alnum:]]', ' ', 'g'),
    question,
    U&'HighlightAll=true, StartSel=\E000, StopSel=\E001')
$$
"""


# A word of the title weighs more than one of the description, for those who sort by relevance.
TICKET = """
CREATE OR REPLACE FUNCTION ticket_document(t tickets, c clients) RETURNS tsvector
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT setweight(search_document(t.title), 'A')
         || search_document(t.description, t.address, t.code, replace(t.code, '-', ''), c.name, c.email)
         || phone_document(c.phone_key)
$$
"""

OLD_TICKET = """
CREATE OR REPLACE FUNCTION ticket_document(t tickets, c clients) RETURNS tsvector
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT search_document(t.title, t.description, t.address, t.code,
                                   replace(t.code, '-', ''), c.name, c.email)
         || phone_document(c.phone_key)
$$
"""


def upgrade() -> None:
    for function in (DOCUMENT, TICKET, TERMS, QUERY, MARKED):
        op.execute(function)
    op.create_table(
        "known_words",
        sa.Column("word", sa.Text(collation="C"), nullable=False),
        sa.Column("stem", sa.Text(collation="C"), nullable=False),
        sa.Column("tickets", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("word", name=op.f("pk_known_words")),
    )
    op.create_index(op.f("ix_known_words_stem"), "known_words", ["stem"])
    op.create_table(
        "words_read",
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("ticket_id", name=op.f("pk_words_read")),
    )


def downgrade() -> None:
    op.drop_table("words_read")
    op.drop_table("known_words")
    for function in (OLD_QUERY, OLD_TICKET, OLD_DOCUMENT):
        op.execute(function)
    op.execute("DROP FUNCTION search_marked(text, tsquery)")
    op.execute("DROP FUNCTION search_terms(text, boolean)")
