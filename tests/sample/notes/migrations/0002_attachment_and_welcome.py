import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def write_welcome(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("notes", "Note").objects.create(title="Welcome")


def delete_welcome(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("notes", "Note").objects.filter(title="Welcome").delete()


class Migration(migrations.Migration):
    dependencies = [("notes", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "note",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="notes.note"),
                ),
            ],
        ),
        migrations.RunPython(write_welcome, delete_welcome),
    ]
