// Runs the cache tests of https://cache-tests.fyi against one cache: their origin and their client in
// one process, so that a run needs one port and leaves nothing behind.
//
//     node cache_suite.mjs DIRECTORY ORIGIN_PORT BASE_URL TOGETHER SECONDS OUTPUT [ID...]
//
// DIRECTORY is where tests/install-cache-tests put the suite, TOGETHER how many tests run at a time,
// SECONDS how long at the most; OUTPUT receives JSON. With IDs only those tests run.

import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

const [directory, originPort, baseUrl, together, seconds, output, ...only] = process.argv.slice(2)
const load = name => import(pathToFileURL(path.join(path.resolve(directory), name)))

const { default: fetch } = await load('node_modules/node-fetch/lib/index.js')
const { default: suites } = await load('package/tests/index.mjs')
const { runTests, getResults } = await load('package/client/runner.mjs')
const handlers = {}
for (const name of ['config', 'state', 'test']) {
  handlers[name] = (await load(`package/server/handle-${name}.mjs`)).default
}

const server = http.createServer((request, response) => {
  const [, name, ...rest] = new URL(request.url, 'http://localhost').pathname.split('/')
  if (name in handlers) {
    handlers[name](rest, request, response)
  } else {
    response.writeHead(404).end()
  }
})
await new Promise(resolve => server.listen(Number(originPort), '127.0.0.1', resolve))

const chosen = suites.map(suite => ({
  ...suite, tests: suite.tests.filter(test => only.length === 0 || only.includes(test.id))
}))
const deadline = new Promise(resolve => setTimeout(resolve, Number(seconds) * 1000))
await Promise.race([runTests(chosen, fetch, false, baseUrl, Number(together)), deadline])

const tests = suites.flatMap(suite => suite.tests
  .filter(test => test.browser_only !== true)
  .map(test => ({
    suite: suite.id, id: test.id, kind: test.kind ?? 'required', depends_on: test.depends_on ?? []
  })))
fs.writeFileSync(output, JSON.stringify({ tests, results: getResults() }))
process.exit(0)
