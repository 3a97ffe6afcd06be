"""Files belong to a schema, whichever storage keeps them."""

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage, default_storage, storages
from django.db import models
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings
from django.test.utils import isolate_apps
from django.utils import timezone

from appschema import deactivate, schema_context
from appschema.exceptions import NoActiveSchema
from appschema.isolation.storage import SchemaStorage, directory_of


class LateFile(File):  # type: ignore[type-arg]
    """Fetches its object when it is read, as S3's do."""

    def __init__(self, storage: "BucketStorage", name: str) -> None:
        super().__init__(None, name)
        self._storage = storage

    @property
    def file(self) -> Any:
        return ContentFile(self._storage.bucket[self.name or ""])

    @file.setter
    def file(self, value: object) -> None:
        pass


class BucketStorage(Storage):
    """A flat store of objects, in the manner of S3: no path(), signed URLs, files opened late."""

    def __init__(self, bucket_name: str, location: str = "") -> None:
        self.bucket_name = bucket_name
        self.location = location
        self.bucket: dict[str, bytes] = {}

    def _open(self, name: str, mode: str = "rb") -> LateFile:
        return LateFile(self, name)

    def _save(self, name: str, content: Any) -> str:
        self.bucket[name] = b"".join(content.chunks())
        return name

    def delete(self, name: str) -> None:
        self.bucket.pop(name, None)

    def exists(self, name: str) -> bool:
        return name in self.bucket

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        inside = [n.removeprefix(path + "/") for n in self.bucket if n.startswith(path + "/")]
        directories = {n.split("/")[0] for n in inside if "/" in n}
        return sorted(directories), [n for n in inside if "/" not in n]

    def size(self, name: str) -> int:
        return len(self.bucket[name])

    def url(self, name: str | None, expire: int = 0) -> str:
        return f"https://{self.bucket_name}.example.com/{name}?expire={expire}"

    def get_modified_time(self, name: str) -> Any:
        return timezone.now() if name in self.bucket else None

    get_created_time = get_accessed_time = get_modified_time

    def empty_bucket(self) -> None:
        self.bucket.clear()


class RenamingStorage(BucketStorage):
    def _save(self, name: str, content: Any) -> str:
        return super()._save("id-1", content)


BUCKET = f"{__name__}.BucketStorage"
MakeStorage = Callable[[], SchemaStorage]


@pytest.fixture(params=["filesystem", "memory", "bucket"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> SchemaStorage:
    if request.param == "filesystem":
        return SchemaStorage(
            "django.core.files.storage.FileSystemStorage",
            {"location": str(tmp_path), "base_url": "/media/"},
        )
    if request.param == "memory":
        return SchemaStorage("django.core.files.storage.InMemoryStorage", {"base_url": "/media/"})
    return SchemaStorage(BUCKET, {"bucket_name": "files"})


@pytest.fixture
def acme() -> Iterator[None]:
    with schema_context("acme"):
        yield


def save(storage: Storage, name: str, content: bytes) -> str:
    return storage.save(name, ContentFile(content))


def read(storage: Storage, name: str) -> bytes:
    with storage.open(name) as file:
        return bytes(file.read())


def test_a_file_is_seen_in_its_schema_only(storage: SchemaStorage) -> None:
    for schema in ("acme", "zoe", "public"):
        with schema_context(schema):
            assert not storage.exists("logos/logo.png")
            assert save(storage, "logos/logo.png", schema.encode()) == "logos/logo.png"
    for schema in ("acme", "zoe", "public"):
        with schema_context(schema):
            assert read(storage, "logos/logo.png") == schema.encode()
            assert storage.size("logos/logo.png") == len(schema)
            assert storage.listdir("") == (["logos"], [])
            assert storage.listdir("logos") == ([], ["logo.png"])
            assert f"/{schema}/logos/logo.png" in storage.url("logos/logo.png")
            for each in (
                storage.get_accessed_time,
                storage.get_created_time,
                storage.get_modified_time,
            ):
                assert each("logos/logo.png") <= timezone.now()
    with schema_context("zoe"):
        storage.delete("logos/logo.png")
        assert not storage.exists("logos/logo.png")
    with schema_context("acme"):
        assert storage.exists("logos/logo.png")


def test_a_name_that_is_taken_in_the_schema_gets_another(storage: SchemaStorage) -> None:
    with schema_context("zoe"):
        save(storage, "a.txt", b"")
    with schema_context("acme"):
        assert storage.get_available_name("a.txt") == "a.txt"
        assert storage.is_name_available("a.txt")
        save(storage, "a.txt", b"")
        assert not storage.is_name_available("a.txt")
        other = save(storage, "a.txt", b"")
        assert other != "a.txt"
        assert other.startswith("a_")


def test_max_length_is_that_of_the_name_without_the_directory(
    storage: SchemaStorage, acme: None
) -> None:
    assert storage.save("x" * 16 + ".txt", ContentFile(b""), max_length=20) == "x" * 16 + ".txt"
    shortened = storage.save("x" * 16 + ".txt", ContentFile(b""), max_length=20)
    assert len(shortened) == 20
    assert storage.is_name_available("y" * 20, max_length=20)
    assert not storage.is_name_available("y" * 21, max_length=20)
    assert len(storage.get_available_name("x" * 16 + ".txt", max_length=20)) == 20


@pytest.mark.parametrize(
    "use",
    [
        lambda s: s.open("a"),
        lambda s: save(s, "a", b""),
        lambda s: s.delete("a"),
        lambda s: s.exists("a"),
        lambda s: s.listdir(""),
        lambda s: s.size("a"),
        lambda s: s.url("a"),
        lambda s: s.path("a"),
        lambda s: s.get_available_name("a"),
        lambda s: s.get_modified_time("a"),
    ],
)
def test_no_schema_no_file(storage: SchemaStorage, use: Callable[[Storage], Any]) -> None:
    with schema_context("acme"):
        deactivate()
        with pytest.raises(NoActiveSchema, match="No schema is active"):
            use(storage)


@pytest.mark.parametrize(
    "name",
    [
        "../zoe/a",
        "x/../../zoe/a",
        "/zoe/a",
        "/etc/passwd",
        "..",
        "..\\zoe\\a",
        "x\\a",
        "C:\\a",
        "a\0",
        "a/..",
    ],
)
def test_a_name_that_leads_out_is_refused(storage: SchemaStorage, acme: None, name: str) -> None:
    with schema_context("zoe"):
        save(storage, "a", b"secret")
    for use in (
        storage.open,
        storage.delete,
        storage.exists,
        storage.listdir,
        storage.size,
        storage.url,
        storage.path,
        storage.get_created_time,
        storage.get_available_name,
        storage.is_name_available,
    ):
        with pytest.raises(SuspiciousFileOperation):
            use(name)
    with pytest.raises(SuspiciousFileOperation):
        save(storage, name, b"")


@pytest.mark.parametrize("name", ["", ".", "./", "//"])
def test_the_directory_itself_is_no_file(storage: SchemaStorage, acme: None, name: str) -> None:
    with pytest.raises(SuspiciousFileOperation):
        storage.delete(name)
    with pytest.raises(SuspiciousFileOperation):
        storage.open(name)


def test_the_path_is_inside_the_schemas_directory(tmp_path: Path, acme: None) -> None:
    storage = SchemaStorage(
        "django.core.files.storage.FileSystemStorage", {"location": str(tmp_path)}
    )
    assert storage.path("a") == str(tmp_path / "acme" / "a")
    assert storage.path("") == str(tmp_path / "acme")


def test_a_storage_without_paths_stays_one_without(acme: None) -> None:
    with pytest.raises(NotImplementedError):
        SchemaStorage(BUCKET, {"bucket_name": "files"}).path("a")


def test_a_file_that_is_opened_stays_that_of_its_schema(storage: SchemaStorage) -> None:
    for schema in ("acme", "zoe"):
        with schema_context(schema):
            save(storage, "a", schema.encode())
    with schema_context("acme"):
        file = storage.open("a")
    with schema_context("zoe"):
        assert file.read() == b"acme"
        file.close()


def test_a_name_that_was_saved_in_one_schema_is_refused_in_another(
    storage: SchemaStorage,
) -> None:
    with schema_context("acme"):
        name = save(storage, "a", b"acme")
    with schema_context("zoe"):
        save(storage, "a", b"zoe")
        with pytest.raises(SuspiciousFileOperation, match="'a' is one of schema 'acme'"):
            storage.open(name)
        with pytest.raises(SuspiciousFileOperation):
            storage.open(pickle.loads(pickle.dumps(name)))
        assert read(storage, str(name)) == b"zoe"
    with schema_context("acme"):
        assert read(storage, name) == b"acme"


def test_upper_and_lower_case_make_two_directories_on_every_file_system() -> None:
    names = ["acme", "Acme", "ACME", "public", "élan", "Élan"]
    assert len({directory_of(name).casefold() for name in names}) == len(names)
    assert directory_of("acme") == "acme"
    assert directory_of("Acme").startswith("Acme.")


def test_what_could_pass_by_the_directory_is_not_passed_on(acme: None) -> None:
    storage = SchemaStorage(BUCKET, {"bucket_name": "files", "location": "media"})
    assert storage.bucket_name == "files"
    for name in ("bucket", "location", "empty_bucket", "_open", "_save_object"):
        with pytest.raises(AttributeError):
            getattr(storage, name)
    with pytest.raises(AttributeError, match=r"use '\.wrapped\.bucket'"):
        storage.bucket  # noqa: B018
    assert storage.wrapped.bucket == {}  # type: ignore[attr-defined]


def test_further_arguments_of_url_are_passed_on(acme: None) -> None:
    storage = SchemaStorage(BUCKET, {"bucket_name": "files"})
    assert storage.url("a", expire=60) == "https://files.example.com/acme/a?expire=60"


def test_a_storage_that_chooses_names_freely_is_refused(acme: None) -> None:
    storage = SchemaStorage(f"{__name__}.RenamingStorage", {"bucket_name": "files"})
    with pytest.raises(SuspiciousFileOperation, match="cannot be wrapped"):
        save(storage, "a", b"")


def test_names_are_made_as_the_wrapped_storage_makes_them(storage: SchemaStorage) -> None:
    assert storage.generate_filename("a b/c d.txt") == "a b/c_d.txt"
    assert storage.get_valid_name("c d.txt") == "c_d.txt"
    assert storage.get_alternative_name("c", ".txt").startswith("c_")
    with pytest.raises(SuspiciousFileOperation):
        storage.generate_filename("../zoe/a")


def test_a_file_without_a_name_bears_that_of_its_content(
    storage: SchemaStorage, acme: None
) -> None:
    assert storage.save(None, ContentFile(b"", name="a")) == "a"


def test_the_settings_name_it(tmp_path: Path, acme: None) -> None:
    wrapped = {
        "BACKEND": "django.core.files.storage.FileSystemStorage",
        "OPTIONS": {"location": str(tmp_path)},
    }
    ours = {"BACKEND": "appschema.isolation.storage.SchemaStorage", "OPTIONS": wrapped}
    with override_settings(STORAGES={"default": ours}):
        assert isinstance(storages["default"], SchemaStorage)
        default_storage.save("a", ContentFile(b"1"))
    assert (tmp_path / "acme" / "a").read_bytes() == b"1"


def test_migrations_write_it_and_know_it_again() -> None:
    storage = SchemaStorage(BUCKET, {"bucket_name": "files"})
    text, imports = MigrationWriter.serialize(storage)
    assert text == (
        f"appschema.isolation.storage.SchemaStorage({BUCKET!r}, " + "{'bucket_name': 'files'})"
    )
    assert imports == {"import appschema.isolation.storage"}
    same = SchemaStorage(BUCKET, {"bucket_name": "files"})
    assert storage == same
    assert hash(storage) == hash(same)
    assert storage != SchemaStorage(BUCKET, {"bucket_name": "others"})
    assert storage != storage.wrapped
    detector = MigrationAutodetector.__new__(MigrationAutodetector)
    assert detector.deep_deconstruct(storage) == detector.deep_deconstruct(same)


@isolate_apps("tests.sample.notes")
def test_a_field_saves_and_deletes_in_the_schema_and_refuses_in_another() -> None:
    storage = SchemaStorage(BUCKET, {"bucket_name": "files"})

    class Document(models.Model):
        file = models.FileField(upload_to="docs", storage=storage)

        class Meta:
            app_label = "notes"

    with schema_context("acme"):
        document = Document()
        document.file.save("a b.txt", ContentFile(b"1"), save=False)
        assert document.file.name == "docs/a_b.txt"
        assert document.file.url.startswith("https://files.example.com/acme/docs/a_b.txt")
    with schema_context("zoe"):
        for use in (document.file.open, lambda: document.file.url, lambda: document.file.size):
            with pytest.raises(SuspiciousFileOperation):
                use()
    with schema_context("acme"):
        document.file.delete(save=False)
        assert storage.listdir("") == ([], [])
