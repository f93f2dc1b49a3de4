-- In Redis, a user is a hash: status, version, while offline at (ms), and a field
-- s:<session> for each session, which holds JSON; one that has dropped has leaving
-- (ms) in there. A sorted set has the expiry (ms) of <user>\n<session>.
--
-- KEYS[1]  that sorted set
-- ARGV[1]  what the keys of users begin with
-- ARGV[2]  what the channels of users begin with
-- ARGV[3]  what messages begin with
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

-- touch has a user who is not heard of any more forgotten in the end.
local function touch(key) redis.call('EXPIRE', key, 3600) end

-- without_sessions is for who is online.
local function without_sessions(key) return redis.call('HLEN', key) == 2 end

-- each_session calls f(field, session) with what is in the fields of sessions.
local function each_session(key, f)
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i]:sub(1, 2) == 's:' then f(all[i], cjson.decode(all[i + 1])) end
  end
end

-- change gives a user a status, and tells. Versions rise even if Redis has lost
-- all that it had.
local function change(user, status, at)
  local key = ARGV[1] .. user
  local before = tonumber(redis.call('HGET', key, 'version')) or 0
  local version = string.format('%.0f', math.max(micros, before + 1))
  redis.call('HSET', key, 'status', status, 'version', version)
  if at then redis.call('HSET', key, 'at', at) else redis.call('HDEL', key, 'at') end
  touch(key)
  local sessions = 0
  each_session(key, function(_, s) if not s.leaving then sessions = sessions + 1 end end)
  redis.call('PUBLISH', ARGV[2] .. user, ARGV[3] .. cjson.encode({
    userId = user, status = status, version = version, sessions = sessions, at = at or 0,
  }))
end
