-- Who shares the state: each node under the name of its present incarnation, its owner, with the instant of its last
-- beat. Nobody goes by a clock, for clocks jump: nodes watch whether the others' beats change.
--
-- KEYS[1]  they, "<prefix>:nodes"; every key begins with that prefix
-- ARGV[1]  owner
-- ARGV[2]  join | beat | bury | leave
--   join   ARGV[3] "1": it was here before, and brings what it has lent; ARGV[4] ms that others get to do the same where
--          this server has forgotten everybody
--   bury   ARGV[3...] owner and beat, in pairs: gone, unless it was heard of since
--
-- Returns "unknown" (beat: of an owner that is not, or no longer, known) or JSON: [owner, beat, owner, beat, ...],
-- burials so far, milliseconds until all who were here before have had their time.

local DAY = 86400
local nodes, prefix = KEYS[1], string.sub(KEYS[1], 1, -7)
local graves, young = prefix .. ':graves', prefix .. ':young'
local owner, verb = ARGV[1], ARGV[2]

local time = redis.call('TIME')
local beat = string.format('%.0f', time[1] * 1000000 + time[2])

local function bury(name)
  if redis.call('HDEL', nodes, name) == 1 then
    redis.call('INCR', graves)
    redis.call('EXPIRE', graves, DAY)
  end
end

local function here()
  redis.call('EXPIRE', graves, DAY)
  redis.call('HSET', nodes, owner, beat)
  redis.call('EXPIRE', nodes, DAY)
end

if verb == 'join' then
  if ARGV[3] == '1' and #redis.call('HGETALL', nodes) == 0 then redis.call('SET', young, 1, 'PX', ARGV[4]) end
  here()
elseif verb == 'beat' then
  if redis.call('HEXISTS', nodes, owner) == 0 then return 'unknown' end
  here()
elseif verb == 'bury' then
  for at = 3, #ARGV, 2 do
    if redis.call('HGET', nodes, ARGV[at]) == ARGV[at + 1] then bury(ARGV[at]) end
  end
elseif verb == 'leave' then
  bury(owner)
end
return cjson.encode({redis.call('HGETALL', nodes), redis.call('GET', graves) or '0', redis.call('PTTL', young)})
