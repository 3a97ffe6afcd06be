"""The PostgreSQL roles of one database, for ``APPSCHEMA_ROLES``.

    appschema/shop/acme       of each schema: its own tables, and through @shared the shared apps'
    appschema/shop/public     of public: all that is in it
    appschema/shop/@unset     while no schema is active: the shared apps' tables
    appschema/shop/@shared    the shared apps' tables for all schemas, so that a thousand of them
                              are one entry in the rights of each such table
    appschema/shop/@logins    whoever is a member may take the roles above

None can log in, and none owns anything: tables belong to the role that migrates. A login is a
member of @logins without inheriting from it, so that it has no rights of a schema by itself.
"""

SHARED, UNSET, LOGINS = "@shared", "@unset", "@logins"
