from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("sales", "0002_order_total")]
    operations = [
        migrations.RunSQL(
            [
                "UPDATE sales_order SET state = lower(state)",
                "CREATE INDEX sales_customer_lower_name ON sales_customer (lower(name))",
            ],
            "DROP INDEX sales_customer_lower_name",
        )
    ]
