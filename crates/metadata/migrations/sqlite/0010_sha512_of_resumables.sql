-- What the whole must have, where its sender goes by SHA-512.
ALTER TABLE resumables ADD COLUMN sha512 BLOB;
