from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=200, db_index=True)
    email = models.EmailField(unique=True)
    plan = models.ForeignKey("plans.Plan", models.PROTECT, null=True)


class Address(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    street = models.CharField(max_length=200)
    town = models.CharField(max_length=100)
    country = models.CharField(max_length=2, default="NL")


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    placed = models.DateTimeField(db_index=True)
    state = models.CharField(max_length=20, default="open")
    total = models.DecimalField(max_digits=12, decimal_places=2, default=0)

    class Meta:
        indexes = [
            models.Index(
                fields=["placed"], name="sales_open_orders", condition=models.Q(state="open")
            )
        ]


class Line(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    product = models.ForeignKey("catalogue.Product", models.PROTECT)
    count = models.IntegerField(default=1)
    amount = models.DecimalField(max_digits=10, decimal_places=2)

    class Meta:
        unique_together = [("order", "product")]


class Invoice(models.Model):
    order = models.OneToOneField(Order, models.PROTECT)
    number = models.BigIntegerField(unique=True)
    sent = models.DateField(null=True)


class Payment(models.Model):
    invoice = models.ForeignKey(Invoice, models.PROTECT)
    paid = models.DateTimeField()
    amount = models.DecimalField(max_digits=12, decimal_places=2)


class Refund(models.Model):
    payment = models.ForeignKey(Payment, models.PROTECT)
    reason = models.TextField()
