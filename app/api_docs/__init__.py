"""The OpenAPI document and the docs explorer: general answers of each kind of route, examples, and the pages."""
