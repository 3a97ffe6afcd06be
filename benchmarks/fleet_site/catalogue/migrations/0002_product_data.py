from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("catalogue", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="product",
            name="data",
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name="product",
            name="is_sold",
            field=models.BooleanField(default=True),
        ),
    ]
