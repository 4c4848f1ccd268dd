// Sends files with Node's fetch or with axios: `node send.mjs LIBRARY FOLDER < JOBS`, where axios is below FOLDER.
//
// A job is a line of a kind (form, put, stream), an address, a key, a path and a file name, with tabs between. Each gets a
// line: the status and the body of the answer, or the error.
import { createReadStream, openAsBlob, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Readable } from 'node:stream';

const [library, folder] = process.argv.slice(2);

async function formOf(path, name) {
  const form = new FormData();
  form.append('file', await openAsBlob(path), name);
  return form;
}

async function byFetch({ kind, url, headers, path, name }) {
  const options = {
    form: async () => ({ method: 'POST', body: await formOf(path, name) }),
    put: async () => ({ method: 'PUT', body: await openAsBlob(path) }),
    stream: async () => ({ method: 'PUT', body: Readable.toWeb(createReadStream(path)), duplex: 'half' }),
  };
  const answer = await fetch(url, { headers, ...(await options[kind]()) });
  return [answer.status, await answer.text()];
}

function byAxios() {
  const axios = createRequire(`${folder}/package.json`)('axios');
  const options = { maxBodyLength: Infinity, maxRedirects: 0, responseType: 'text', validateStatus: () => true };
  const send = async ({ kind, url, headers, path, name }) => {
    const bodies = {
      form: () => formOf(path, name),
      put: () => readFileSync(path),
      stream: () => createReadStream(path),
    };
    const method = kind === 'form' ? 'post' : 'put';
    const answer = await axios.request({ ...options, method, url, headers, data: await bodies[kind]() });
    return [answer.status, answer.data];
  };
  return send;
}

const send = library === 'axios' ? byAxios() : byFetch;
for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) {
  const [kind, url, key, path, name] = line.split('\t');
  const headers = { 'X-API-Key': key };
  let told;
  try {
    told = await send({ kind, url, headers, path, name });
  } catch (error) {
    told = ['failed', `${error} ${error.cause ?? ''}`];
  }
  console.log(told.join(' ').replace(/\s+/g, ' ').trim());
}
