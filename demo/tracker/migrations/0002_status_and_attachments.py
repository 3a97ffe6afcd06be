import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

TODO, DONE = 1, 3


def set_status(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tasks = apps.get_model("tracker", "Task").objects
    tasks.filter(is_done=True).update(status=DONE)


def set_is_done(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    tasks = apps.get_model("tracker", "Task").objects
    tasks.filter(status=DONE).update(is_done=True)


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("tracker", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="task",
            name="description",
            field=models.TextField(blank=True, default="", max_length=4000),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="task",
            name="due_date",
            field=models.DateField(blank=True, null=True, verbose_name="due"),
        ),
        migrations.AddField(
            model_name="task",
            name="status",
            field=models.PositiveSmallIntegerField(
                choices=[(TODO, "To do"), (2, "In progress"), (DONE, "Done")], default=TODO
            ),
        ),
        migrations.RunPython(set_status, set_is_done),
        migrations.AlterModelOptions(
            name="task",
            options={
                "ordering": [
                    "status",
                    models.OrderBy(models.F("due_date"), nulls_last=True),
                    "created",
                    "pk",
                ]
            },
        ),
        migrations.RemoveField(model_name="task", name="is_done"),
        migrations.CreateModel(
            name="Attachment",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("file", models.FileField(upload_to="attachments")),
                ("name", models.CharField(max_length=255)),
                ("size", models.PositiveIntegerField()),
                ("created", models.DateTimeField(auto_now_add=True)),
                (
                    "task",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="attachments",
                        to="tracker.task",
                    ),
                ),
                (
                    "uploaded_by",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="attachments",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["created", "pk"]},
        ),
    ]
