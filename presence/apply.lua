-- Applies operations in their order, and returns the users' statuses after each.
--
-- ARGV[4]  how long a session is there without being joined again, in ms
-- ARGV[5]  how long one that has dropped is, in ms
-- ARGV[6]  the operations: JSON
local lifetime, grace = tonumber(ARGV[4]), tonumber(ARGV[5])

local function join(op, key, field, member, status)
  local sender = cjson.decode(op.entry).senderId
  each_session(key, function(other, s)
    if s.leaving and s.senderId == sender and other ~= field then -- it has come back
      redis.call('HDEL', key, other)
      redis.call('ZREM', KEYS[1], op.user .. '\n' .. other:sub(3))
    end
  end)
  redis.call('HSET', key, field, op.entry)
  redis.call('ZADD', KEYS[1], now + lifetime, member)
  touch(key)
  if status == 'offline' then change(op.user, op.status) end
end

local function leave(op, key, field, member)
  redis.call('ZREM', KEYS[1], member)
  if redis.call('HDEL', key, field) == 1 and without_sessions(key) then change(op.user, 'offline', now) end
end

local function drop(op, key, field, member)
  local entry = redis.call('HGET', key, field)
  if not entry then return end
  local s = cjson.decode(entry)
  s.leaving = now
  redis.call('HSET', key, field, cjson.encode(s))
  redis.call('ZADD', KEYS[1], now + grace, member)
end

local function set(op, key, field, member, status)
  if status ~= 'offline' and status ~= op.status then change(op.user, op.status) end
end

local kinds = {join = join, leave = leave, drop = drop, set = set}
local statuses = {}
for i, op in ipairs(cjson.decode(ARGV[6])) do
  local key = ARGV[1] .. op.user
  local status = redis.call('HGET', key, 'status') or 'offline'
  kinds[op.kind](op, key, 's:' .. op.session, op.user .. '\n' .. op.session, status)
  statuses[i] = redis.call('HGET', key, 'status') or 'offline'
end
return statuses
