"""What cannot be copied is refused by its name, and what is doubtful is told."""

import psycopg
import pytest
from django.db.transaction import TransactionManagementError

from appschema.catalog import functions_naming_schema, read_schema, write_schema
from appschema.exceptions import SchemaMissing, UnsupportedObject
from appschema.names import role_name
from tests.integration.catalog.database import Database

FAR = """CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;
    CREATE FOREIGN TABLE odd.far (a int) SERVER s"""
UNKNOWN = [
    (
        "CREATE OPERATOR odd.=== (FUNCTION = texteq, LEFTARG = text, RIGHTARG = text)",
        "operator odd.===",
    ),
    ("CREATE AGGREGATE odd.total (int) (SFUNC = int4pl, STYPE = int)", "aggregate total"),
    (
        "CREATE TEXT SEARCH CONFIGURATION odd.german (COPY = german)",
        "text search configuration odd.german",
    ),
    (
        "CREATE TEXT SEARCH DICTIONARY odd.words (TEMPLATE = simple)",
        "text search dictionary odd.words",
    ),
    (
        "CREATE CONVERSION odd.conv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1",
        "conversion odd.conv",
    ),
    ("CREATE OPERATOR FAMILY odd.fam USING btree", "operator family odd.fam"),
    ("CREATE TYPE odd.shell", "base type shell"),
    (FAR, "foreign table far"),
]


@pytest.mark.parametrize(("statements", "named"), UNKNOWN, ids=[named for _, named in UNKNOWN])
def test_an_object_that_is_not_known_is_named(database: Database, statements: str, named: str):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(f"CREATE SCHEMA odd; {statements}")
        with pytest.raises(UnsupportedObject, match="holds what cannot be written") as raised:
            database.read("odd")
    assert named in " ".join(raised.value.objects)
    assert named in str(raised.value)


def test_objects_of_an_extension_are_named_with_the_way_out(database: Database):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("CREATE SCHEMA odd; CREATE EXTENSION hstore SCHEMA odd")
        with pytest.raises(UnsupportedObject, match=r"ALTER EXTENSION .* SET SCHEMA") as raised:
            database.read("odd")
        assert "extension hstore" in raised.value.objects
        database.connection.execute("ALTER EXTENSION hstore SET SCHEMA public")
        assert database.read("odd").types == ()


def test_what_depends_on_an_extension_by_order_is_refused(database: Database):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(
            "CREATE SCHEMA odd; CREATE EXTENSION hstore SCHEMA public; CREATE FUNCTION odd.f()"
            " RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION odd.f() DEPENDS ON EXTENSION hstore"
        )
        with pytest.raises(UnsupportedObject, match=r"routine 'f\(\)'.*NO DEPENDS ON EXTENSION"):
            database.read("odd")


def test_a_schema_that_is_not_there_is_missing(database: Database):
    with pytest.raises(SchemaMissing), database.connection.transaction():
        database.read("nowhere")


def test_circles_are_refused_by_name(database: Database):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(
            "CREATE SCHEMA odd; CREATE VIEW odd.a AS SELECT 1 AS x; CREATE VIEW odd.b AS SELECT * FROM odd.a;"
            " CREATE OR REPLACE VIEW odd.a AS SELECT x FROM odd.b"
        )
        with pytest.raises(UnsupportedObject, match=r"need one another.*view 'a', view 'b'"):
            write_schema(database.read("odd"))


def test_an_ambiguous_function_is_refused(database: Database):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(
            "CREATE SCHEMA odd; CREATE TABLE odd.t (t int); CREATE FUNCTION odd.f() RETURNS int"
            " LANGUAGE sql AS 'SELECT odd.t FROM odd.t AS odd'"
        )
        with pytest.raises(
            UnsupportedObject, match=r"In function f\(\), 'odd' is the schema's name"
        ):
            database.read("odd")


def test_what_is_left_as_it_is_is_told(database: Database):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute("""
            CREATE SCHEMA odd; CREATE TABLE odd.t (a int UNIQUE, b text DEFAULT 'odd');
            CREATE FUNCTION odd.f() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'odd'; END $$;
            CREATE PUBLICATION p FOR TABLES IN SCHEMA odd; CREATE PUBLICATION q FOR TABLE odd.t;
            UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'odd.t_a_key'::regclass""")
        doubts = {each.where: each.text for each in database.read("odd").doubts}
    assert set(doubts) == {
        "column 'b' of 't'",
        "function f()",
        "index 't_a_key'",
        "the schema",
        "the tables",
    }
    assert "publication p" in doubts["the schema"]
    assert "publication q" in doubts["the tables"]


def test_functions_of_a_renamed_schema_name_the_new_one(database: Database):
    with database.connection.transaction(force_rollback=True):
        run = database.connection.execute
        run("""
            CREATE SCHEMA odd; CREATE TABLE odd.t (a int, b bigint DEFAULT nextval('odd.s'::text));
            CREATE SEQUENCE odd.s; CREATE SEQUENCE odd.u; INSERT INTO odd.t VALUES (7, 0);
            CREATE FUNCTION odd.plain() RETURNS int LANGUAGE sql AS 'SELECT 1';
            CREATE FUNCTION odd.f() RETURNS int LANGUAGE sql AS 'SELECT a FROM odd.t WHERE a = 7';
            CREATE FUNCTION odd.g() RETURNS int LANGUAGE sql SET search_path = odd AS 'SELECT a FROM t WHERE a = 7';
            REVOKE ALL ON FUNCTION odd.f() FROM PUBLIC;
            CREATE FUNCTION odd.tf() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN EXECUTE format('UPDATE %s SET a = a + 1', TG_ARGV[0]); RETURN NEW; END $$;
            CREATE TABLE odd.v (x int);
            CREATE TRIGGER tr AFTER INSERT ON odd.v FOR EACH ROW EXECUTE FUNCTION odd.tf('odd.t');
            COMMENT ON TRIGGER tr ON odd.v IS 'kept';
            CREATE VIEW odd.w AS SELECT 'odd.u'::text AS name;
            ALTER TABLE odd.t ADD CONSTRAINT c CHECK (a < 100 + length('odd.u'))""")
        before = database.read("odd")
        run("ALTER SCHEMA odd RENAME TO new")
        script = functions_naming_schema(before)
        assert not any("plain" in each for each in script.structure)
        run(script.render("new"))
        assert database.read("new") == before
        assert run("SELECT new.f(), new.g(), name FROM new.w").fetchone() == (7, 7, '"new".u')
        run("INSERT INTO new.v VALUES (1); INSERT INTO new.t (a) VALUES (1)")
        assert run("SELECT a, b FROM new.t ORDER BY a").fetchall() == [(1, 1), (8, 0)]
        assert read_schema(database.connection.cursor(), "new").doubts == ()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE MATERIALIZED VIEW odd.m AS SELECT 'odd.t'::text AS x",
        "CREATE INDEX i ON odd.t ((b || 'odd.t'))",
        "CREATE DOMAIN odd.d AS text CHECK (VALUE <> 'odd.t')",
    ],
)
def test_what_cannot_be_replaced_in_a_renamed_schema_is_refused(database: Database, statement: str):
    with database.connection.transaction(force_rollback=True):
        database.connection.execute(f"CREATE SCHEMA odd; CREATE TABLE odd.t (b text); {statement}")
        with pytest.raises(UnsupportedObject, match="Write it without the name"):
            functions_naming_schema(database.read("odd"))


@pytest.fixture
def roles(database: Database):
    """The roles of two schemas, as APPSCHEMA_ROLES makes them, and one of somebody else's."""
    name = database.value("SELECT current_database()")
    own = [role_name(name, schema) for schema in ("odd", "even")]
    with database.connection.transaction(force_rollback=True):
        for role in (*own, "other role"):
            database.connection.execute(f'CREATE ROLE "{role}"')
        yield own


def test_rights_of_the_schemas_own_role_are_the_copys_roles(database: Database, roles: list[str]):
    odd, even = roles
    run = database.connection.execute
    run(f"""
        CREATE SCHEMA odd; CREATE TABLE odd.t (a int, b int); GRANT USAGE ON SCHEMA odd TO "{odd}";
        GRANT SELECT, UPDATE (b) ON odd.t TO "{odd}"; GRANT INSERT ON odd.t TO "other role";
        REVOKE DELETE ON odd.t FROM CURRENT_USER;
        ALTER DEFAULT PRIVILEGES IN SCHEMA odd GRANT SELECT ON TABLES TO "{odd}";
        ALTER TABLE odd.t ENABLE ROW LEVEL SECURITY""")
    snapshot = database.read("odd")
    script = write_schema(snapshot)
    run(script.render("even", role=even))
    assert database.read("even") == snapshot
    rights = "SELECT relacl::text FROM pg_class WHERE oid = '{}.t'::regclass"
    (of_even,) = run(rights.format("even")).fetchone() or ("",)
    assert even in of_even
    assert odd not in of_even
    run(script.render("bare"))
    (of_bare,) = run(rights.format("bare")).fetchone() or ("",)
    assert "appschema/" not in of_bare
    assert "other role" in of_bare


def test_a_policy_for_the_own_role_wants_the_copys_role(database: Database, roles: list[str]):
    database.connection.execute(
        f'CREATE SCHEMA odd; CREATE TABLE odd.t (); CREATE POLICY p ON odd.t TO "{roles[0]}" USING (true)'
    )
    script = write_schema(database.read("odd"))
    database.connection.execute(script.render("even", role=roles[1]))
    with pytest.raises(ValueError, match="Give the name of the copy's role"):
        script.render("bare")


def test_reading_is_refused_in_autocommit(database: Database):
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS odd2")
        with pytest.raises(TransactionManagementError, match=r"Call it in transaction\.atomic"):
            read_schema(connection.cursor(), "odd2")
