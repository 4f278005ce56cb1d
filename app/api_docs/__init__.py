"""The OpenAPI document and the docs explorer: what every route of a kind answers, examples, the pages."""
