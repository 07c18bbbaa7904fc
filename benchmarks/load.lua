-- The requests that wrk sends, every value another, and at the end one line of JSON with what came back.
-- Arguments after `--`: outstation, flask, influxdb (one POST of one reading each) or status (GET); then a number that
-- no other round has, so that no value is sent twice.

local threads = 0
local sent = 0
local kind, round

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

-- 21.00001, 21.00002, ...: always within a thermometer's range.
local function value()
  sent = sent + 1
  return string.format("%.8f", 20 + round / 100 + number / 1000 + sent / 1e8)
end

local makers = {
  outstation = function()
    return wrk.format("POST", "/api/readings", nil, '{"sensor":"bench/air_temperature","value":' .. value() .. "}")
  end,
  flask = function()
    return wrk.format("POST", "/api/readings", nil, '{"sensor":"air_temperature","value":' .. value() .. "}")
  end,
  influxdb = function()
    return wrk.format("POST", "/write?db=bench", nil, "air_temperature,device=bench value=" .. value())
  end,
  status = function() return wrk.format("GET", "/api/status") end,
}

function init(arguments)
  kind, round = arguments[1], tonumber(arguments[2])
  wrk.headers["X-API-Key"] = os.getenv("BENCHMARK_KEY")
  wrk.headers["Content-Type"] = kind == "influxdb" and "text/plain" or "application/json"
  request = makers[kind]
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "microseconds": %d, "bad_status": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
