-- What wrk sends, and how it reports. Arguments after `--`:
--   1: the start of the request target: a path, or for a forward proxy http://ORIGIN/path
--   2: plain, browser or varied (see Heads in cases.py)
--   3: the value of Host

local browser = {
   ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
   ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
   ["Accept-Language"] = "en-GB,en;q=0.7,de;q=0.3",
   ["Accept-Encoding"] = "gzip, deflate, br",
   ["Referer"] = "http://www.example.com/catalogue/spring?page=2",
   ["Cookie"] = "session=8d5f1c0b2a7e4963; theme=dark; consent=essential",
   ["Upgrade-Insecure-Requests"] = "1",
   ["Sec-Fetch-Mode"] = "navigate",
   ["Cache-Control"] = "max-age=0",
}

-- One request written as a template: a number that was never used before goes into each hole.
local function varied(target, host)
   local template = table.concat({
      "GET " .. target .. "%d/item?sort=%x HTTP/1.1",
      "Host: " .. host,
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:%d.0) Gecko/20100101 Firefox/%d.0",
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/webp;v=%d,*/*;q=0.8",
      "Accept-Language: en-GB,en;q=0.7,de;q=0.%d",
      "Accept-Encoding: gzip, deflate, br",
      "Referer: http://www.example.com/catalogue/%x?page=2",
      "Cookie: session=%x; theme=dark; consent=essential",
      "Upgrade-Insecure-Requests: 1",
      "Sec-Fetch-Mode: navigate",
      "Cache-Control: max-age=%d",
   }, "\r\n") .. "\r\n\r\n"
   -- Two runs, even in the same second, do not start from the same number.
   local n = os.time() % 1000000 * 1000 + math.floor(os.clock() * 1000000) % 1000
   return function()
      n = n + 1
      return string.format(template, n, n * 7, n, n, n, n, n * 3, n * 5, n)
   end
end

function init(args)
   wrk.path = args[1]
   wrk.headers["Host"] = args[3]
   if args[2] == "browser" then
      for name, value in pairs(browser) do wrk.headers[name] = value end
   elseif args[2] == "varied" then
      request = varied(args[1], args[3])
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'SUMMARY {"requests": %d, "bytes": %d, "microseconds": %d, "bad_status": %d, '
         .. '"connect_errors": %d, "read_errors": %d, "write_errors": %d, "timeouts": %d, '
         .. '"median_us": %d, "p99_us": %d}\n',
      summary.requests, summary.bytes, summary.duration, errors.status,
      errors.connect, errors.read, errors.write, errors.timeout,
      latency:percentile(50), latency:percentile(99)))
end
