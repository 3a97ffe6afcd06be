"""What is told of a statement from its text; `tests/integration` asks PostgreSQL the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appschema.backends.statement import read_statement, split_statements

STATEMENTS = [
    (b"", []),
    (b" \t\r\n; ;", []),
    (b"SELECT 1", [b"SELECT 1"]),
    (b"SELECT 1;", [b"SELECT 1"]),
    (b"SELECT 1; SELECT 2", [b"SELECT 1", b"SELECT 2"]),
    (b"SELECT ';'; SELECT 2", [b"SELECT ';'", b"SELECT 2"]),
    (b"SELECT ''';'; SELECT 2", [b"SELECT ''';'", b"SELECT 2"]),
    (b"SELECT '\\'; SELECT 2", [b"SELECT '\\'", b"SELECT 2"]),
    (b"SELECT E'\\';'; SELECT 2", [b"SELECT E'\\';'", b"SELECT 2"]),
    (b"SELECT tableE'\\'; SELECT 2", [b"SELECT tableE'\\'", b"SELECT 2"]),
    (b"SELECT E'a'\n'\\';'; SELECT 2", [b"SELECT E'a'\n'\\';'", b"SELECT 2"]),
    (b"SELECT E'a' -- b\r --c\n'\\';'; SELECT 2", [b"SELECT E'a' -- b\r --c\n'\\';'", b"SELECT 2"]),
    (b"SELECT E'a' '\\'; SELECT 2", [b"SELECT E'a' '\\'", b"SELECT 2"]),
    (b'SELECT ";"";"; SELECT 2', [b'SELECT ";"";"', b"SELECT 2"]),
    (b"SELECT $$;'$$; SELECT 2", [b"SELECT $$;'$$", b"SELECT 2"]),
    (b"SELECT $a$;$b$;$$;$a$; SELECT 2", [b"SELECT $a$;$b$;$$;$a$", b"SELECT 2"]),
    (b"SELECT a$b$;SELECT c$b$", [b"SELECT a$b$", b"SELECT c$b$"]),
    (b"SELECT $1; SELECT $1", [b"SELECT $1", b"SELECT $1"]),
    ("SELECT $é$;$é$; SELECT 2".encode(), ["SELECT $é$;$é$".encode(), b"SELECT 2"]),
    (b"-- ;\nSELECT 1", [b"SELECT 1"]),
    (b"-- ;\rSELECT 1", [b"SELECT 1"]),
    (b"-- ;", []),
    (b"/* ; /* ; */ ; */ SELECT 1", [b"SELECT 1"]),
    (b"/*/ ; */ SELECT 1", [b"SELECT 1"]),
    (b"/**/;/***/SELECT 1", [b"SELECT 1"]),
    (b"SELECT 2*/* ; */3", [b"SELECT 2*/* ; */3"]),
    (
        b"SELECT 1 /* ; */; SELECT '--'; SELECT 3",
        [b"SELECT 1 /* ; */", b"SELECT '--'", b"SELECT 3"],
    ),
]


@pytest.mark.parametrize(("text", "statements"), STATEMENTS)
def test_split_reads_quotes_and_comments_as_postgresql_does(text, statements):
    assert split_statements(text) == statements


BODY = b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END"


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        BODY + b";",
        b"CREATE OR REPLACE PROCEDURE p() /* ; */ BEGIN ATOMIC ; ; END",
        b"create function f() returns int begin\natomic select case when true then 1 end; end",
    ],
)
def test_body_in_the_form_of_the_standard_is_one_statement_and_ends_no_transaction(text):
    assert len(split_statements(text)) == 1
    assert not read_statement(text).ends_transaction


@pytest.mark.parametrize(
    "text",
    [
        BODY + b"; END",
        b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC END; END",
        b"SELECT 'begin atomic'; END",
        b"/* create function begin atomic */ SELECT 1; END",
        b"SELECT begin atomic FROM t; END",
        b"CREATE FUNCTION f() RETURNS text RETURN 'begin atomic'; END",
    ],
)
def test_end_outside_a_body_ends_the_transaction(text):
    assert read_statement(text).ends_transaction


ENDS = [
    b"COMMIT",
    b"commit work",
    b"END",
    b"ROLLBACK",
    b"ABORT",
    b"PREPARE TRANSACTION 'x'",
    b"PREPARE--a\nTRANSACTION 'x'",
]
MARKS = [b"BEGIN", b"START TRANSACTION", b"SAVEPOINT s", b"RELEASE s", b"RELEASE SAVEPOINT s"]
BACK = [b"ROLLBACK TO s", b"ROLLBACK TO SAVEPOINT s", b"ROLLBACK WORK TO SAVEPOINT s"]
LEADS = [
    b"",
    b" \n\t",
    b";",
    b"; ;\r\n",
    b"-- a\n",
    b"-- a\r",
    b"/* a */",
    b"/* a /* b */ */ -- ;\n ",
    b"--\n--\n",
]


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("text", [*ENDS, *MARKS, *BACK])
def test_transaction_control_is_seen_behind_space_and_comments(lead, text):
    statement = read_statement(lead + text)
    assert statement.controls
    assert not statement.continues
    assert statement.ends_transaction is (text not in MARKS)


@pytest.mark.parametrize("between", LEADS)
@pytest.mark.parametrize("text", [*ENDS, *BACK])
def test_statement_behind_the_end_of_a_transaction_is_seen(between, text):
    statement = read_statement(b"SELECT 1;" + between + text + b";" + between + b"SELECT 2")
    assert statement.ends_transaction
    assert statement.continues
    assert not statement.controls


@pytest.mark.parametrize("text", [b"BEGIN; SELECT 1", b"BEGIN; SELECT 1; COMMIT", b"SAVEPOINT s;;"])
def test_end_at_the_end_of_a_text_does_not_continue(text):
    assert not read_statement(text).continues


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 'x\n;COMMIT'",
        b'SELECT "\nROLLBACK"',
        b"SELECT $$\nCOMMIT; END$$",
        b"DO $body$ BEGIN\nROLLBACK; END $body$",
        b"SELECT 1 /*\nCOMMIT */",
        b"SELECT 1 --;COMMIT",
        b"SELECT 1 AS commit",
        b"SELECT CASE WHEN a THEN 1\nEND FROM t",
        b"CREATE TABLE commit (a int)",
        b"SELECT\nend_date FROM t",
    ],
)
def test_words_in_quotes_comments_and_names_control_nothing(text):
    statement = read_statement(text)
    assert not statement.controls
    assert not statement.ends_transaction
    assert not statement.continues


@pytest.mark.parametrize("text", [b"", b" ", b";", b"-- a", b"/* a /* b */ */ ; -- c\n"])
def test_text_without_a_statement_is_blank(text):
    assert read_statement(text).blank


@pytest.mark.parametrize(
    "text",
    [
        b"VACUUM",
        b"vacuum (full) t",
        b"-- why\nVACUUM t;",
        b"CREATE INDEX CONCURRENTLY i ON t (a)",
        b"create unique index concurrently i on t (a)",
        b"DROP INDEX CONCURRENTLY i",
        b"REINDEX TABLE CONCURRENTLY t",
        b"REINDEX (VERBOSE, CONCURRENTLY) INDEX i",
    ],
)
def test_statement_that_postgresql_wants_alone_is_known(text):
    assert read_statement(text).goes_alone


@pytest.mark.parametrize(
    "text", [b"SELECT 'VACUUM'", b"CREATE INDEX i ON t (a)", b"REINDEX TABLE t"]
)
def test_other_statements_do_not_go_alone(text):
    assert not read_statement(text).goes_alone


@pytest.mark.parametrize(
    "text", [b"DISCARD PLANS", b"CREATE DATABASE x", b"ALTER SYSTEM RESET ALL"]
)
def test_statement_of_the_server_is_one_only_by_itself(text):
    assert read_statement(text).of_the_server
    assert not read_statement(text + b"; SELECT * FROM t").of_the_server
    assert not read_statement(b"SELECT * FROM t; " + text).of_the_server


def test_creates_extension_only_when_nothing_else_is_in_the_text():
    assert read_statement(b"CREATE EXTENSION a; -- b\nCREATE EXTENSION b").creates_extension
    assert not read_statement(b"CREATE EXTENSION a; CREATE TABLE t ()").creates_extension


@pytest.mark.parametrize(
    "text",
    [
        b"SET search_path TO a",
        b"set local search_path = a",
        b'SET LOCAL "search_path" TO a',
        b"SET SESSION search_path TO a",
        b"SELECT 1; SET LOCAL search_path TO a",
        b"SET SCHEMA 'a'",
        b"SET LOCAL SCHEMA 'a'",
    ],
)
def test_setting_the_path_by_a_statement_is_seen(text):
    assert read_statement(text).sets_path


@pytest.mark.parametrize(
    "text",
    [
        b"RESET search_path",
        b"RESET ALL",
        b"SET LOCAL search_path TO DEFAULT",
        b"set search_path = default",
        b"SET LOCAL search_path TO a; SELECT 1; RESET search_path",
    ],
)
def test_taking_the_path_back_is_no_path_of_the_users(text):
    assert read_statement(text).resets_path
    assert not read_statement(text).sets_path


def test_calling_set_config_is_seen():
    assert read_statement(b"SELECT SET_CONFIG(%s, %s, true)").sets_config


# Texts made of whole lexemes, whose number of statements is known by construction.
NASTY = st.lists(
    st.sampled_from([*";'\"$\\-/* \n\rEe", "COMMIT", "$$", "$a$", "é"]), max_size=8
).map("".join)
DOLLAR = NASTY.filter(lambda text: "$z$" not in f"{text}$")
EXPRESSION = st.one_of(
    NASTY.map(lambda text: "'" + text.replace("'", "''") + "'"),
    NASTY.map(lambda text: " E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"),
    NASTY.map(lambda text: '"' + text.replace('"', '""') + 'x"'),
    DOLLAR.map(lambda text: f" $z${text}$z$"),
    st.just("1"),
    st.just("a$b$c"),
)
NO_COMMENT_EDGE = NASTY.filter(lambda text: not set("/*") & set(text))
SPACE = st.one_of(
    st.sampled_from([" ", "\n", "\t", "\r"]),
    NO_COMMENT_EDGE.map(lambda text: f" /*{text}/*{text}*/*/ "),
    NASTY.map(lambda text: " --" + text.replace("\n", "").replace("\r", "") + "\n"),
    NASTY.map(lambda text: " --" + text.replace("\n", "").replace("\r", "") + "\r"),
)
SELECT = st.tuples(
    SPACE, st.just("SELECT"), SPACE, st.lists(EXPRESSION, min_size=1, max_size=3), SPACE
).map(lambda parts: ("statement", "".join([*parts[:3], " , ".join(parts[3]), parts[4]])))
CONTROL = st.tuples(SPACE, st.sampled_from(["COMMIT", "rollback", "END", "Abort"]), SPACE).map(
    lambda parts: ("end", "".join(parts))
)
NOTHING = SPACE.map(lambda space: ("nothing", space))


@given(st.lists(st.one_of(SELECT, CONTROL, NOTHING)))
def test_no_quote_or_comment_hides_a_statement_or_the_end_of_a_transaction(pieces):
    kinds = [kind for kind, _ in pieces if kind != "nothing"]
    text = ";".join(piece for _, piece in pieces).encode()
    assert len(split_statements(text)) == len(kinds)
    statement = read_statement(text)
    assert statement.ends_transaction is ("end" in kinds)
    assert statement.blank is (not kinds)
    after = kinds[kinds.index("end") :] if "end" in kinds else []
    assert statement.continues is ("statement" in after)


@given(st.text(";'\"$-/* \n\rEea", max_size=60))
def test_any_text_is_read(text):
    read_statement(text.encode())


@pytest.mark.parametrize(
    "text", [b"SELECT E'a' " + b"-" * 5000, b"E'a'" * 5000, b"/*" * 5000, b"E'a'\n" * 5000]
)
def test_long_texts_are_read_in_one_pass(text):
    # Would not end if the pattern backtracked.
    assert len(split_statements(b"COMMIT;" + text)) == 2 - text.startswith(b"/*")
