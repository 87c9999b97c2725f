-- Requests for wrk: `wrk -s load.lua URL -- login` or `-- add-session TOKEN PREFIX`.
local thread = 0
function setup(t) t:set("number", thread) thread = thread + 1 end
local count, kind, token, prefix = 0, nil, nil, nil
function init(arguments)
  kind, token, prefix = arguments[1], arguments[2], arguments[3]
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  if token then wrk.headers["Authorization"] = "Bearer " .. token end
end
function request()
  if kind == "login" then return wrk.format(nil, nil, nil, '{"user":"ann","password":"password123"}') end
  count = count + 1
  return wrk.format(nil, nil, nil, '{"session_id":"' .. prefix .. number .. "-" .. count .. '"}')
end
