// A lake that two servers share: its database, its bucket, and what is in them.

import { createHash, randomBytes } from 'node:crypto';
import { ofBody, type Digests } from './digests';
import { ACCESS_KEY, SECRET_KEY, psql, stores } from './stores';

/** Files that are not in the lake itself, such as uploads on their way, and the keys of their objects. */
const OWN_FILES = `
  WITH RECURSIVE tree (node_id, path, object_id) AS (
    SELECT node_id, name, object_id FROM nodes WHERE parent_id = 0 AND name <> 'live' UNION ALL
    SELECT n.node_id, t.path || '/' || n.name, n.object_id FROM tree t JOIN nodes n ON n.parent_id = t.node_id)
  SELECT t.path, o.key FROM tree t JOIN objects o ON o.object_id = t.object_id`;

export class SharedLake {
  private constructor(private readonly name: string) {}

  static async create(): Promise<SharedLake> {
    const lake = new SharedLake(`lake-${randomBytes(6).toString('hex')}`);
    await psql('postgres', `CREATE DATABASE "${lake.name}"`);
    const made = await fetch(lake.bucket(), { method: 'POST' });
    if (!made.ok) throw new Error(`${lake.bucket()}: ${made.status}`);
    return lake;
  }

  /** In which servers and commands find it. */
  environment(): Record<string, string> {
    const { postgres, s3 } = stores();
    return {
      LAKESHORE_CLUSTER: 'true',
      LAKESHORE_METADATA: `postgres://postgres@127.0.0.1:${postgres}/${this.name}`,
      LAKESHORE_LAKE: `s3://${this.name}/lake`,
      LAKESHORE_S3_ENDPOINT: `http://127.0.0.1:${s3}`,
      LAKESHORE_S3_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: ACCESS_KEY,
      AWS_SECRET_ACCESS_KEY: SECRET_KEY,
    };
  }

  /** Runs SQL in its database, past the servers. */
  sql(statements: string): Promise<string[][]> {
    return psql(this.name, statements);
  }

  /** Files that are not in the lake itself, read past the servers. */
  async ownFiles(): Promise<Digests> {
    const found: Digests = {};
    for (const [path, key] of await this.sql(OWN_FILES)) {
      const response = await fetch(this.bucket(`lake/${key.split('/').map(encodeURIComponent).join('/')}`));
      // An upload without a byte has no object.
      found[path] = response.ok ? await ofBody(response) : createHash('sha256').digest('hex');
    }
    return found;
  }

  /** Frees the space of the stores for other tests. */
  async remove(): Promise<void> {
    await psql('postgres', `DROP DATABASE "${this.name}" WITH (FORCE)`);
    await fetch(`${this.bucket()}?recursive=true`, { method: 'DELETE' });
  }

  /** Address of the bucket, or of an object in it, without the ways of S3. */
  private bucket(key = ''): string {
    return `http://127.0.0.1:${stores().filer}/buckets/${this.name}/${key}`;
  }
}
