"""Keep each ticket's search document in step with the ticket and its client.

A generated column cannot read the client's row, and a second document beside the ticket's
could not find "printer Ivanov": each word would be missing in one of the two.

Revision ID: 20261121_0903
Revises: 20261121_0902
"""

from alembic import op

revision = "20261121_0903"
down_revision = "20261121_0902"
branch_labels = None
depends_on = None

DOCUMENT = """
CREATE FUNCTION ticket_document(t tickets, c clients) RETURNS tsvector
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT search_document(t.title, t.description, t.address, t.code,
                                   replace(t.code, '-', ''), c.name, c.email)
         || phone_document(c.phone_key)
$$
"""

FROM_TICKET = """
CREATE FUNCTION tickets_refresh_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT ticket_document(NEW, c) INTO NEW.search FROM clients c WHERE c.id = NEW.client_id;
  NEW.search := coalesce(NEW.search, ''::tsvector);  -- no such client: the foreign key will say so
  RETURN NEW;
END
$$
"""

FROM_CLIENT = """
CREATE FUNCTION clients_refresh_search() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE tickets t SET search = ticket_document(t, NEW) WHERE t.client_id = NEW.id;
  RETURN NULL;
END
$$
"""

TRIGGERS = """
CREATE TRIGGER refresh_search
  BEFORE INSERT OR UPDATE OF title, description, address, code, client_id ON tickets
  FOR EACH ROW EXECUTE FUNCTION tickets_refresh_search()
"""

CLIENT_TRIGGER = """
CREATE TRIGGER refresh_search
  AFTER UPDATE OF name, phone_key, email ON clients
  FOR EACH ROW
  WHEN ((OLD.name, OLD.phone_key, OLD.email) IS DISTINCT FROM (NEW.name, NEW.phone_key, NEW.email))
  EXECUTE FUNCTION clients_refresh_search()
"""


def upgrade() -> None:
    for statement in (DOCUMENT, FROM_TICKET, FROM_CLIENT, TRIGGERS, CLIENT_TRIGGER):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER refresh_search ON clients")
    op.execute("DROP TRIGGER refresh_search ON tickets")
    for function in (
        "clients_refresh_search()",
        "tickets_refresh_search()",
        "ticket_document(tickets, clients)",
    ):
        op.execute(f"DROP FUNCTION {function}")
