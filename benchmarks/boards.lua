-- The requests of 200 boards that wrk sends, one board after the other, every value another, and at the end one line
-- of JSON with what came back. Arguments after `--`: native, get or post; then a number that no other round has.

local sent = 0
local round

local function value()
  return string.format("%.8f", 20 + round / 100 + sent / 1e8)
end

local function key()
  return string.format("Q7WK2ZB9XHT4%04d", sent % 200 + 1)
end

local makers = {
  native = function()
    return wrk.format("POST", "/api/readings", nil, '{"sensor":"n' .. sent % 200 + 1 .. '/t","value":' .. value() .. "}")
  end,
  get = function() return wrk.format("GET", "/update?api_key=" .. key() .. "&field1=" .. value()) end,
  post = function()
    wrk.headers["X-THINGSPEAKAPIKEY"] = key()
    return wrk.format("POST", "/update", nil, "field1=" .. value() .. "&headers=false")
  end,
}

function init(arguments)
  round = tonumber(arguments[2])
  local make = makers[arguments[1]]
  if arguments[1] == "native" then
    wrk.headers["X-API-Key"] = os.getenv("BENCHMARK_KEY")
    wrk.headers["Content-Type"] = "application/json"
  elseif arguments[1] == "post" then
    wrk.headers["Content-Type"] = "application/x-www-form-urlencoded"
  end
  request = function()
    sent = sent + 1
    return make()
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\n{"answers": %d, "microseconds": %d, "bad_status": %d, "broken": %d, "p50": %d, "p99": %d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
