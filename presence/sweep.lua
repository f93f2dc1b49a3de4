-- Removes sessions that have expired. Returns since when Redis has what it has, how
-- many have expired, and who has gone: users, each followed by when (ms).
--
-- KEYS[2]  a hash: since, last and hold
-- ARGV[4]  how many sessions to take
-- ARGV[5]  after how long without a sweep Redis is taken to have been away, in ms
-- ARGV[6]  how long nobody expires then, in ms: nodes are to say who is still there
-- ARGV[7]  how long a session is there after its node has said so, in ms
local since = redis.call('HGET', KEYS[2], 'since')
if not since then
  since = string.format('%.0f', micros)
  redis.call('HSET', KEYS[2], 'since', since)
end
local last = tonumber(redis.call('HGET', KEYS[2], 'last') or 0)
redis.call('HSET', KEYS[2], 'last', now)
if now - last > tonumber(ARGV[5]) and redis.call('ZCOUNT', KEYS[1], '-inf', now) > 0 then
  redis.call('HSET', KEYS[2], 'hold', now + ARGV[6])
end
if now < tonumber(redis.call('HGET', KEYS[2], 'hold') or 0) then return {since, 0, {}} end

local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[4])
local gone = {}
for i = 1, #due, 2 do
  local member, expiry = due[i], tonumber(due[i + 1])
  redis.call('ZREM', KEYS[1], member)
  local user, session = member:match('^(.*)\n([^\n]*)$')
  local key = ARGV[1] .. user
  local entry = redis.call('HGET', key, 's:' .. session)
  if entry then
    redis.call('HDEL', key, 's:' .. session)
    if without_sessions(key) then
      local at = cjson.decode(entry).leaving or expiry - ARGV[7]
      change(user, 'offline', at)
      gone[#gone + 1] = user
      gone[#gone + 1] = at
    end
  end
end
return {since, #due / 2, gone}
