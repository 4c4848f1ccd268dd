// The stores of lakes with two servers: one PostgreSQL and one SeaweedFS for a run of the tests, on free ports, with a
// folder that is removed with them.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, openSync, closeSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Whether each lake of a test has two servers. */
export const onCluster = process.env.LAKESHORE_TEST_NODES === '2';

export const ACCESS_KEY = 'lakeshore';
export const SECRET_KEY = 'lakeshore-secret';
/** Runs PostgreSQL where the tests run as root, which it refuses. */
const ACCOUNT = 'postgres';
const WEED = process.env.LAKESHORE_WEED ?? join(__dirname, '../target/seaweedfs-4.48/bin/weed');
/** Durability is not tested here. */
const POSTGRES_OPTIONS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  fsync: 'off',
  full_page_writes: 'off',
  max_connections: '200',
  autovacuum_naptime: '10',
  log_min_messages: 'warning',
};
/** Options of SeaweedFS for ports, in the order in which they get one. */
const WEED_PORTS = ['master.port', 'master.port.grpc', 'volume.port', 'volume.port.grpc', 'filer.port', 'filer.port.grpc', 's3.port', 's3.port.grpc'];

/** Where the stores are. */
export interface Stores {
  /** Folder of PostgreSQL's programs. */
  programs: string;
  postgres: number;
  filer: number;
  s3: number;
}

/** Set by `start` for the workers. */
const VARIABLE = 'LAKESHORE_TEST_STORES';

export function stores(): Stores {
  return JSON.parse(process.env[VARIABLE]!);
}

/** Runs SQL, and returns its rows, with tabs between the columns. */
export async function psql(database: string, sql: string): Promise<string[][]> {
  const { programs, postgres } = stores();
  const options = ['-X', '-q', '-A', '-t', '-F', '\t', '-v', 'ON_ERROR_STOP=1', '-h', '127.0.0.1', '-p', `${postgres}`, '-U', ACCOUNT, '-d', database];
  const { stdout } = await run(join(programs, 'psql'), [...options, '-c', sql]);
  return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
}

/** A program that ends with this process, however that ends. */
class Daemon {
  private readonly shell: ChildProcess;
  private readonly ended: Promise<unknown>;

  constructor(private readonly name: string, private readonly log: string, endsBy: string, command: string[], folder: string) {
    // The shell reads until this process closes its end.
    const script = 'signal=$1; shift; "$@" < /dev/null & read -r _; kill -s "$signal" $!; wait $!';
    const output = openSync(log, 'a');
    this.shell = spawn('sh', ['-c', script, 'sh', endsBy, ...command], {
      cwd: folder,
      env: { ...process.env, TMPDIR: folder },
      stdio: ['pipe', output, output],
      // Ctrl-C ends the servers of the tests first.
      detached: true,
    });
    closeSync(output);
    this.ended = new Promise((resolve) => this.shell.once('exit', resolve));
  }

  async becomes(isReady: () => Promise<boolean>): Promise<void> {
    for (let attempt = 0; attempt < 600; attempt += 1) {
      if (await isReady().catch(() => false)) return;
      await sleep(100);
    }
    await this.end();
    throw new Error(`${this.name} did not start:\n${readFileSync(this.log, 'utf8').slice(-4000)}`);
  }

  async end(): Promise<void> {
    this.shell.stdin!.end();
    await this.ended;
  }
}

async function freePorts(count: number): Promise<number[]> {
  const listeners = Array.from({ length: count }, () => createServer());
  await Promise.all(listeners.map((listener) => new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))));
  const ports = listeners.map((listener) => (listener.address() as AddressInfo).port);
  await Promise.all(listeners.map((listener) => new Promise((resolve) => listener.close(resolve))));
  return ports;
}

function postgresPrograms(): string {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((one, other) => Number(other) - Number(one)) : [];
  const folders = [...versions.map((version) => join(debian, version, 'bin')), ...process.env.PATH!.split(delimiter)];
  const found = folders.find((folder) => ['initdb', 'postgres', 'psql'].every((program) => existsSync(join(folder, program))));
  if (found === undefined) throw new Error('PostgreSQL is not installed; run "make postgres"');
  return found;
}

async function startPostgres(programs: string, folder: string, port: number): Promise<Daemon> {
  const data = join(folder, 'data');
  const log = join(folder, 'log');
  // The account has to pass the one, and owns the other.
  mkdirSync(folder);
  mkdirSync(data, { mode: 0o700 });
  const isRoot = process.getuid!() === 0;
  if (isRoot) await run('chown', [ACCOUNT, data]);
  const as = (command: string[]): string[] => (isRoot ? ['setpriv', '--reuid', ACCOUNT, '--regid', ACCOUNT, '--clear-groups', ...command] : command);
  const [program, ...options] = as([join(programs, 'initdb'), '--auth', 'trust', '--username', ACCOUNT, '--encoding', 'UTF8', '--no-sync', '--pgdata', data]);
  await run(program, options, { cwd: '/' });
  const settings = Object.entries(POSTGRES_OPTIONS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const command = as([join(programs, 'postgres'), '-D', data, '-p', `${port}`, ...settings]);
  // A fast shutdown.
  const daemon = new Daemon('PostgreSQL', log, 'INT', command, data);
  await daemon.becomes(() => psql('postgres', 'SELECT 1').then(() => true));
  return daemon;
}

async function startSeaweedFs(folder: string, ports: number[]): Promise<Daemon> {
  if (!existsSync(WEED)) throw new Error(`${WEED} is missing; run "make seaweedfs", or name it in LAKESHORE_WEED`);
  const data = join(folder, 'data');
  mkdirSync(data, { recursive: true });
  const actions = ['Admin', 'Read', 'Write', 'List', 'Tagging'];
  const credentials = [{ accessKey: ACCESS_KEY, secretKey: SECRET_KEY }];
  writeFileSync(join(folder, 's3.json'), JSON.stringify({ identities: [{ name: 'test', credentials, actions }] }));
  // A bucket has volumes of its own: one each is enough, for many buckets.
  writeFileSync(join(data, 'master.toml'), '[master.volume_growth]\ncopy_1 = 1\n');
  const options = [
    '-dir', data, '-ip', '127.0.0.1', '-ip.bind', '127.0.0.1', '-master.telemetry=false', '-master.volumeSizeLimitMB', '256',
    '-volume.max', '5000', '-filer', '-filer.localSocket', join(data, 'filer.sock'),
    '-s3', '-s3.port.iceberg', '0', '-s3.port.lance', '0', '-s3.config', join(folder, 's3.json'),
    ...WEED_PORTS.flatMap((option, number) => [`-${option}`, `${ports[number]}`]),
  ];
  const daemon = new Daemon('SeaweedFS', join(folder, 'log'), 'TERM', [WEED, 'server', ...options], data);
  const { filer, s3 } = stores();
  // Nobody may list the buckets without a key.
  await daemon.becomes(async () => (await fetch(`http://127.0.0.1:${s3}/`)).status === 403);
  // Its volumes come after its filer.
  await daemon.becomes(async () => (await fetch(`http://127.0.0.1:${filer}/ready`, { method: 'PUT', body: 'yes' })).status === 201);
  return daemon;
}

/** Starts the stores before the first test, and returns their end, which Playwright calls after the last one. */
export default async function start(): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), 'lakeshore-stores-'));
  // PostgreSQL's account has to pass.
  chmodSync(folder, 0o711);
  const daemons: Daemon[] = [];
  const end = async (): Promise<void> => {
    await Promise.all(daemons.map((daemon) => daemon.end()));
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    const programs = postgresPrograms();
    const [postgres, ...ports] = await freePorts(1 + WEED_PORTS.length);
    const port = (option: string): number => ports[WEED_PORTS.indexOf(option)];
    const found: Stores = { programs, postgres, filer: port('filer.port'), s3: port('s3.port') };
    process.env[VARIABLE] = JSON.stringify(found);
    daemons.push(await startPostgres(programs, join(folder, 'postgres'), postgres));
    daemons.push(await startSeaweedFs(join(folder, 'seaweedfs'), ports));
  } catch (error) {
    await end();
    throw error;
  }
  return end;
}
