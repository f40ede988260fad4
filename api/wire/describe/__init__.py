"""The service description: a page for people, WADL and OpenAPI, all from the declarations."""
