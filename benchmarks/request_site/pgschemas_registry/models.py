from django_pgschemas.models import TenantModel
from django_pgschemas.routing.models import DomainModel


class Tenant(TenantModel):
    auto_create_schema = False


class Domain(DomainModel):
    pass
