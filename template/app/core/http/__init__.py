"""HTTP: middleware, pagination, schemas and error responses."""
