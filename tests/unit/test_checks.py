"""Each system check: what it finds, its sentence and its mend."""

from collections.abc import Callable

import pytest
from django.core.checks import CheckMessage, Error, Warning, run_checks
from django.db import connections, models
from django.db.utils import ConnectionHandler
from django.test import modify_settings, override_settings
from django.test.utils import isolate_apps

from appschema import checks
from appschema.middleware import FqdnMiddleware

OURS = "appschema.backends.postgresql"
STOCK = "django.db.backends.postgresql"

UseDatabases = Callable[..., None]


class OwnMiddleware(FqdnMiddleware):
    """A project's own, derived from ours."""


def found() -> list[CheckMessage]:
    return [*checks.check_settings(None), *checks.check_routing(None)]


@pytest.fixture
def use_databases(monkeypatch: pytest.MonkeyPatch) -> UseDatabases:
    def use(engines: dict[str, str], **names: str) -> None:
        handler = ConnectionHandler(
            {
                alias: {"ENGINE": each, "NAME": names.get(alias, "")}
                for alias, each in engines.items()
            }
        )
        for module in (checks.placement, checks.database):
            monkeypatch.setattr(module, "connections", handler)

    return use


def test_the_sample_site_has_no_fault() -> None:
    assert found() == []


def test_the_checks_are_registered() -> None:
    with override_settings(APPSCHEMA_DEFAULT_PATH=["extensions"]):
        assert "appschema.E004" in {each.id for each in run_checks()}


def test_e001_a_setting_of_the_wrong_type() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS="plans"):
        assert found() == [
            Error(
                "APPSCHEMA_SHARED_APPS is a list of str, not 'plans'. Write ['plans'].",
                hint="See the reference of settings in the docs.",
                id="appschema.E001",
            )
        ]


def test_e001_a_public_name_that_no_host_could_have() -> None:
    with override_settings(APPSCHEMA_PUBLIC_NAMES=["www..example.com"]):
        (error,) = found()
    assert error.id == "appschema.E001"
    assert error.msg.startswith("The public name 'www..example.com' is not a valid host name.")


@pytest.mark.parametrize("setting", ["APPSCHEMA_SHARED_APPS", "APPSCHEMA_BOTH_APPS"])
def test_e002_an_entry_that_is_no_installed_app(setting: str) -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=[], APPSCHEMA_BOTH_APPS=[]):
        with override_settings(**{setting: ["billing"]}):
            assert found() == [
                Error(
                    f"{setting} holds 'billing', which is no installed app.",
                    hint="Give the app's label, its module path or the path of its AppConfig, as in"
                    " INSTALLED_APPS.",
                    id="appschema.E002",
                )
            ]


def test_e002_names_the_app_that_was_meant() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=["sample.plans"]):
        assert found() == [
            Error(
                "APPSCHEMA_SHARED_APPS holds 'sample.plans', which is no installed app.",
                hint="Did you mean 'tests.sample.plans'?",
                id="appschema.E002",
            )
        ]


def test_e003_an_app_that_is_shared_and_both() -> None:
    with override_settings(APPSCHEMA_BOTH_APPS=["plans", "tags"]):
        assert found() == [
            Error(
                "APPSCHEMA_BOTH_APPS holds 'plans', but APPSCHEMA_SHARED_APPS has the app 'plans'"
                " already.",
                hint="Leave one of the two entries.",
                id="appschema.E003",
            )
        ]


def test_e003_an_app_that_is_named_twice_in_two_spellings() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=["plans", "tests.sample.plans"]):
        assert found() == [
            Error(
                "APPSCHEMA_SHARED_APPS holds 'tests.sample.plans', but APPSCHEMA_SHARED_APPS has the"
                " app 'plans' already.",
                hint="Leave one of the two entries.",
                id="appschema.E003",
            )
        ]


def test_e003_appschema_as_a_both_app() -> None:
    with override_settings(APPSCHEMA_BOTH_APPS=["appschema"]):
        assert found() == [
            Error(
                "APPSCHEMA_BOTH_APPS holds 'appschema', whose registry lives once, in public.",
                hint="Remove the entry; appschema is always shared.",
                id="appschema.E003",
            )
        ]


def test_e004_a_default_path_without_public() -> None:
    with override_settings(APPSCHEMA_DEFAULT_PATH=["extensions"]):
        assert found() == [
            Error(
                "APPSCHEMA_DEFAULT_PATH is ['extensions'] and lacks 'public', where the shared tables"
                " are.",
                hint="Set it to ['extensions', 'public'].",
                id="appschema.E004",
            )
        ]


def test_e005_a_foreign_key_from_a_shared_model_to_an_isolated_one() -> None:
    from tests.sample.notes.models import Note

    with override_settings(
        APPSCHEMA_SHARED_APPS=["plans", "notes"], APPSCHEMA_BOTH_APPS=["tags", "contenttypes"]
    ):
        assert found() == [
            Error(
                "notes.Note.author is a foreign key of a table in public to 'auth.User', whose tables"
                " live in the schemas.",
                hint="Make 'auth' a shared or both app, or 'notes' an isolated one.",
                obj=Note,
                id="appschema.E005",
            )
        ]


def test_e005_a_foreign_key_from_a_both_model_to_an_isolated_one() -> None:
    with override_settings(APPSCHEMA_BOTH_APPS=["tags", "notes"]):
        assert [error.id for error in found()] == ["appschema.E005"]


def test_e005_a_many_to_many_field_from_a_shared_model_to_an_isolated_one() -> None:
    with override_settings(APPSCHEMA_SHARED_APPS=["plans", "auth"]):
        (error,) = found()
    assert error.id == "appschema.E005"
    assert error.msg == (
        "auth.Permission.content_type is a foreign key of a table in public to"
        " 'contenttypes.ContentType', whose tables live in the schemas."
    )


@isolate_apps("tests.sample.plans", "tests.sample.notes")
def test_e005_not_for_a_key_without_a_constraint(monkeypatch: pytest.MonkeyPatch) -> None:
    class Audit(models.Model):
        note = models.ForeignKey("notes.Note", models.DO_NOTHING, db_constraint=False)

        class Meta:
            app_label = "plans"

    monkeypatch.setattr(checks.placement, "apps", Audit._meta.apps)
    assert [each for each in found() if each.id == "appschema.E005"] == []


@isolate_apps("tests.sample.plans", "tests.sample.notes")
def test_e005_for_a_shared_model_that_inherits_from_an_isolated_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Note(models.Model):
        class Meta:
            app_label = "notes"

    class Memo(Note):
        class Meta:
            app_label = "plans"

    monkeypatch.setattr(checks.placement, "apps", Memo._meta.apps)
    (error,) = [each for each in found() if each.id == "appschema.E005"]
    assert error.msg.startswith("plans.Memo.note_ptr is a foreign key of a table in public")


def test_e006_no_database_carries_a_schema(use_databases: UseDatabases) -> None:
    use_databases({"default": STOCK})
    assert found() == [
        Error(
            "No database has an ENGINE of appschema; 'default' has 'django.db.backends.postgresql'."
            " Schemas exist in PostgreSQL only.",
            hint="Set DATABASES['default']['ENGINE'] to 'appschema.backends.postgresql' or"
            " 'appschema.backends.postgis'.",
            id="appschema.E006",
        )
    ]


def test_e006_another_kind_of_database(use_databases: UseDatabases) -> None:
    use_databases({"default": "django.db.backends.sqlite3"})
    (error,) = found()
    assert error.id == "appschema.E006"
    assert "'default' has 'django.db.backends.sqlite3'" in error.msg


def test_e008_a_server_that_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connections["default"]), "get_database_version", lambda self: (14, 11))
    assert checks.check_server(None, databases=["default"]) == [
        Error(
            "The database 'default' is PostgreSQL 14.11; appschema supports 15 and later.",
            hint="Upgrade the server.",
            id="appschema.E008",
        )
    ]


def test_the_server_is_asked_only_when_databases_are_to_be_checked() -> None:
    assert checks.check_server(None) == []


def test_w001_a_middleware_that_is_not_first() -> None:
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    with override_settings(MIDDLEWARE=[sessions, "appschema.middleware.FqdnMiddleware"]):
        assert found() == [
            Warning(
                "'appschema.middleware.FqdnMiddleware' is number 2 in MIDDLEWARE, so"
                " 'django.contrib.sessions.middleware.SessionMiddleware' runs with no schema active.",
                hint="Put it first, unless what stands before it must not see a schema.",
                id="appschema.W001",
            )
        ]


def test_w001_a_projects_own_middleware_that_is_not_first() -> None:
    path = f"{OwnMiddleware.__module__}.{OwnMiddleware.__qualname__}"
    sessions = "django.contrib.sessions.middleware.SessionMiddleware"
    with override_settings(MIDDLEWARE=[sessions, path]):
        assert [each.id for each in found()] == ["appschema.W001"]
    with override_settings(MIDDLEWARE=[path, sessions]):
        assert found() == []


@pytest.mark.parametrize("middleware", [[], ["nowhere.Middleware"]])
def test_w001_not_without_our_middleware(middleware: list[str]) -> None:
    with override_settings(MIDDLEWARE=middleware):
        assert found() == []


def test_e007_an_app_before_ours_with_a_command_of_the_same_name() -> None:
    placed_first = "tests.sample.commands_first"
    with modify_settings(INSTALLED_APPS={"prepend": placed_first}):
        assert [each for each in found() if each.id == "appschema.E007"] == [
            Error(
                "'tests.sample.commands_first' stands before 'appschema' in INSTALLED_APPS and has a"
                " command 'migrate' of its own, which is run instead of appschema's.",
                hint="Put 'appschema' before it.",
                id="appschema.E007",
            )
        ]
    with modify_settings(INSTALLED_APPS={"append": placed_first}):
        assert not [each for each in found() if each.id == "appschema.E007"]


def test_w002_only_another_database_carries_a_schema(use_databases: UseDatabases) -> None:
    use_databases({"default": STOCK, "customers": OURS})
    assert found() == [
        Warning(
            "The database 'default' has the ENGINE 'django.db.backends.postgresql', which carries no"
            " schema; only other databases do.",
            hint="Isolated models must be routed to a database whose ENGINE is appschema's.",
            id="appschema.W002",
        )
    ]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("APPSCHEMA_SHARED_APP", "Did you mean APPSCHEMA_SHARED_APPS?"),
        ("APPSCHEMA_ROLE", "Did you mean APPSCHEMA_ROLES?"),
        ("APPSCHEMA_XYZ", "See the reference of settings in the docs."),
    ],
)
def test_w012_a_setting_that_there_is_not(name: str, hint: str) -> None:
    with override_settings(**{name: True}):
        assert found() == [
            Warning(
                f"{name} is no setting of appschema, and changes nothing.",
                hint=hint,
                id="appschema.W012",
            )
        ]


def test_a_second_database_may_have_any_engine(use_databases: UseDatabases) -> None:
    use_databases({"default": OURS, "log": "django.db.backends.sqlite3"})
    assert found() == []
    use_databases({"default": OURS, "log": STOCK, "replica": OURS}, default="shop", log="log")
    assert found() == []


def test_w011_a_replica_that_carries_no_schema(use_databases: UseDatabases) -> None:
    use_databases({"default": OURS, "replica": STOCK}, default="shop", replica="shop")
    assert found() == [
        Warning(
            "The database 'replica' bears the name of 'default', 'shop', and its ENGINE"
            " 'django.db.backends.postgresql' carries no schema: queries there read the tables of"
            " public.",
            hint="Set its ENGINE to that of 'default'. If it is another database, add"
            " 'appschema.W011' to SILENCED_SYSTEM_CHECKS.",
            id="appschema.W011",
        )
    ]
