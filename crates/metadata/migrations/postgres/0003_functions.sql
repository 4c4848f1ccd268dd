-- Functions of SQLite, so that one statement serves both databases.
ALTER FUNCTION json_rows(TEXT) RENAME TO json_each;

CREATE FUNCTION unhex(digits TEXT) RETURNS BYTEA LANGUAGE sql IMMUTABLE AS $$ SELECT decode(digits, 'hex') $$;

-- Unlike those of SQLite, they pass over NULL.
CREATE FUNCTION max(one BIGINT, other BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS $$ SELECT greatest(one, other) $$;
CREATE FUNCTION min(one BIGINT, other BIGINT) RETURNS BIGINT LANGUAGE sql IMMUTABLE AS $$ SELECT least(one, other) $$;
