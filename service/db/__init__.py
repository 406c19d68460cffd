"""The database: tables, engine, roles and the embedded server. No queries of the product live here."""
