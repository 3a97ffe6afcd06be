from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("people", "0003_departments"),
    ]

    operations = [
        migrations.AddField(
            model_name="employee",
            name="short_name",
            field=models.CharField(default="", max_length=20),
        ),
    ]
