-- What a node asks of the state it shares with others: many asks in one call, each of them all or nothing.
--
-- KEYS[1]  who shares the state, "<prefix>:nodes"; every key begins with that prefix
-- ARGV[1]  owner: the incarnation of the asking node, "<node>.<epoch>", which must be known (node.lua)
-- ARGV[2]  asks as JSON, each [verb, ...]
--
-- Returns "unknown" (the owner is not, or no longer, known: nothing was done) or JSON: [answers, errors], where answers
-- are those of the takes, in their order.
--
-- Keys, each with a name that hashes a limit and who is counted under it:
--   b  when a bucket will be full again, in seconds of this server's clock since EPOCH
--   l  places that are lent, "owner:number", the oldest first; numbers only grow, no clock is in them
--   e  those of them that may be ended to make room, "owner:number|who"
--   x  until when a poller (who) may not take places from others, for it was itself ended so
--   w  who waits for one, in the order in which they came
--   m  the last burial after which l and w were looked through for owners that are gone

local SLACK, EPOCH, DAY = 1e-4, 1767225600, 86400
local nodes, owner = KEYS[1], ARGV[1]
local prefix = string.sub(nodes, 1, -7)
local graves = prefix .. ':graves'

if redis.call('HEXISTS', nodes, owner) == 0 then return 'unknown' end

local time = redis.call('TIME')
local now = (time[1] - EPOCH) + time[2] / 1e6

local function key(kind, name) return prefix .. ':' .. kind .. ':' .. name end

local function tell(member, word)
  redis.call('PUBLISH', prefix .. ':to:' .. string.match(member, '^[^.]+'), cjson.encode(word))
end

local function number_of(member) return tonumber(string.match(member, ':(%d+)')) end

-- Owners, each looked up once a call.
local known = {}
local function lives(member)
  local who = string.match(member, '^[^:]+')
  if known[who] == nil then known[who] = redis.call('HEXISTS', nodes, who) == 1 end
  return known[who]
end

-- Places and tickets of owners that are gone: looked for where they matter, and once after each burial.
local reaped = {}
local function reap(name)
  if reaped[name] then return false end
  reaped[name] = true
  local buried = redis.call('GET', graves)
  if not buried or redis.call('GET', key('m', name)) == buried then return false end
  for _, kind in ipairs({'l', 'e', 'w'}) do
    for _, member in ipairs(redis.call('ZRANGE', key(kind, name), 0, -1)) do
      if not lives(member) then redis.call('ZREM', key(kind, name), member) end
    end
  end
  redis.call('SET', key('m', name), buried, 'EX', DAY)
  return true
end

-- Behind all that are there.
local function last(zset)
  return (tonumber(redis.call('ZREVRANGE', zset, 0, 0, 'WITHSCORES')[2]) or 0) + 1
end

local function add(zset, member, score)
  redis.call('ZADD', zset, 'NX', score, member)
  redis.call('EXPIRE', zset, DAY)
end

-- It is the turn of whoever waits first.
local function turn(name)
  while true do
    local first = redis.call('ZRANGE', key('w', name), 0, 0)[1]
    if not first then return end
    if lives(first) then return tell(first, {name = 'turn', number = number_of(first)}) end
    redis.call('ZREM', key('w', name), first)
  end
end

-- Tokens: the arithmetic of bucket.py. Each bucket is read once, and written once when all is decided: of a crowd that
-- comes together most pay from the same few.

local buckets, changed = {}, {}

local function fill(name, at) buckets[name], changed[name] = at, true end

local function write()
  for name in pairs(changed) do
    local at = buckets[name]
    if at > now then
      redis.call('SET', key('b', name), string.format('%.17g', at), 'PX', math.ceil((at - now) * 1000) + 1)
    else
      redis.call('DEL', key('b', name))
    end
  end
end

local function read(name)
  if buckets[name] == nil then buckets[name] = tonumber(redis.call('GET', key('b', name))) or false end
  return buckets[name]
end

-- None is emptier than empty: one that owes more was emptied under another rule, or before the clock went back.
local function full_at(name, interval, burst)
  local full, most = read(name), burst * interval
  if not full or full - now <= most + SLACK * interval then return full end
  fill(name, now + most)
  return now + most
end

-- The bucket after a token was taken; or nil, and what it is.
local function pay(name, interval, burst)
  local full = full_at(name, interval, burst)
  if not full or full <= now then return now + interval end
  if full - now <= (burst - 1 + SLACK) * interval then return full + interval end
  return nil, full
end

local function refund(name, interval, burst)
  local full = full_at(name, interval, burst)
  if full and full > now then fill(name, math.max(full - interval, now)) end
end

-- Places.

-- Whether one is free for this call; how many wait, and whether it is among them.
local function look(name, max, line, me)
  local held = redis.call('ZCARD', key('l', name))
  local waiting = line > 0 and redis.call('ZCARD', key('w', name)) or 0
  local rank = waiting > 0 and redis.call('ZRANK', key('w', name), me)
  return held < max and (waiting == 0 or rank == 0), waiting, rank
end

-- Who is ended first to make room: "owner:number|who".
local function oldest(name)
  while true do
    local found = redis.call('ZRANGE', key('e', name), 0, 0)[1]
    if not found or redis.call('ZSCORE', key('l', name), string.match(found, '^[^|]+')) then return found end
    redis.call('ZREM', key('e', name), found)
  end
end

-- Until it may take places from others again.
local function bar(who, grace)
  local life = math.ceil(grace * 1000) + 1
  if grace > 0 then redis.call('SET', key('x', who), string.format('%.17g', now + grace), 'PX', life) end
end

-- Seconds until then: never more than it may be, wherever the clock has gone.
local function barred(who, grace)
  local left = (tonumber(redis.call('GET', key('x', who))) or 0) - now
  if left > grace then bar(who, grace) end
  return math.min(left, grace)
end

-- What stands between the call and a place: nothing (""), or whoever loses it: who `yields`, or is `gone` anyhow for
-- another place, or else is ended for this one. Or nil, seconds until it is worth to ask again, and whether it stands in
-- line now.
local function find(name, max, line, who, grace, evict, me, yields, gone)
  local free, waiting, rank = look(name, max, line, me)
  if not free and reap(name) then free, waiting, rank = look(name, max, line, me) end
  if free then return '' end
  if yields and redis.call('ZSCORE', key('l', name), yields) then return yields end
  if evict then
    local seconds = barred(who, grace)
    if seconds > 0 then return nil, math.max(seconds, 1), 0 end
    for _, member in ipairs(gone) do
      if redis.call('ZSCORE', key('l', name), member) then return member end
    end
    local found = oldest(name)
    if found then return found end
  end
  if rank then return nil, 1, 1 end
  if waiting >= line then return nil, 1, 0 end
  add(key('w', name), me, last(key('w', name)))
  return nil, 1, 1
end

-- A poll loses its place to another.
local function evict(name, found, me, by, grace)
  local member, who = string.match(found, '^(.*)|(.*)$')
  redis.call('ZREM', key('l', name), member)
  redis.call('ZREM', key('e', name), found)
  bar(who, grace)
  if string.match(member, '^[^:]+') ~= owner and lives(member) then
    tell(member, {name = 'end', number = number_of(member), by = by, to = me})
  end
  return member
end

local function lend(name, max, line, who, me, ends)
  local lent = key('l', name)
  local score = last(lent)
  add(lent, me, score)
  if ends then add(key('e', name), me .. '|' .. who, score) end
  if line > 0 and redis.call('ZREM', key('w', name), me) == 1 and redis.call('ZCARD', lent) < max then turn(name) end
end

-- [1, seconds until each bucket is full, who lost a place]; [0, which token, seconds until there is one, seconds until
-- its bucket is full]; [2, which place, seconds, whether it stands in line].
local function take(number, by, yields, ends, tokens, places)
  local me, after, owed, found, gone, ended = owner .. ':' .. number, {}, {}, {}, {}, {}
  local older = yields > 0 and owner .. ':' .. yields
  for at, token in ipairs(tokens) do
    local full, had = pay(token[1], token[2], token[3])
    if not full then return {0, at, math.max(had - now + (1 - token[3]) * token[2], 0), had - now} end
    after[at], owed[at] = full, full - now
  end
  for at, place in ipairs(places) do
    local who, seconds, queued = find(place[1], place[2], place[3], place[4], place[5], place[6], me, older, gone)
    if not who then return {2, at, seconds, queued} end
    found[at] = who
    gone[#gone + 1] = string.match(who, '^(.*)|')
  end
  for at, token in ipairs(tokens) do fill(token[1], after[at]) end
  for at, place in ipairs(places) do
    if string.find(found[at], '|', 1, true) then
      ended[#ended + 1] = evict(place[1], found[at], me, by, place[5])
    elseif found[at] ~= '' then
      redis.call('ZREM', key('l', place[1]), found[at])
      ended[#ended + 1] = found[at]
    end
    lend(place[1], place[2], place[3], place[4], me, ends)
  end
  return {1, owed, ended}
end

local function release(number, places)
  local me = owner .. ':' .. number
  for _, place in ipairs(places) do
    local gone = redis.call('ZREM', key('l', place[1]), me)
    if place[2] ~= '' then redis.call('ZREM', key('e', place[1]), me .. '|' .. place[2]) end
    if gone == 1 and place[3] > 0 then turn(place[1]) end
  end
end

-- A poll that was to be ended cannot be: it has its place again. It is not asked to give it up any more, or behind all
-- others where it can be ended later.
local function keep(number, places, later)
  local me = owner .. ':' .. number
  for _, place in ipairs(places) do
    add(key('l', place[1]), me, last(key('l', place[1])))
    if place[2] ~= '' then
      local ends = key('e', place[1])
      redis.call('ZREM', ends, me .. '|' .. place[2])
      if later then add(ends, me .. '|' .. place[2], last(ends)) end
      redis.call('DEL', key('x', place[2]))
    end
  end
end

-- Under the name of the owner that asks now, what it had under earlier ones; where nobody knows of that any more, behind
-- all others.
local function claim(zset, number, former, rest)
  local score
  for _, before in ipairs(former) do
    local old = before .. ':' .. number .. rest
    score = score or tonumber(redis.call('ZSCORE', zset, old))
    redis.call('ZREM', zset, old)
  end
  add(zset, owner .. ':' .. number .. rest, score or last(zset))
end

local function claim_places(number, former, places)
  for _, place in ipairs(places) do
    claim(key('l', place[1]), number, former, '')
    if place[2] ~= '' then claim(key('e', place[1]), number, former, '|' .. place[2]) end
  end
end

local function wait(number, former, name) claim(key('w', name), number, former, '') end

local function leave(number, name)
  local me = owner .. ':' .. number
  local first = redis.call('ZRANK', key('w', name), me) == 0
  redis.call('ZREM', key('w', name), me)
  if first then turn(name) end
end

local function say(member, word) tell(member, word) end

local verbs = {take = take, release = release, refund = refund, keep = keep, claim = claim_places, wait = wait,
               leave = leave, say = say, bar = bar}
local answers, errors = {}, {}
for _, ask in ipairs(cjson.decode(ARGV[2])) do
  local fine, answer = pcall(verbs[ask[1]], unpack(ask, 2))
  if not fine then
    answer = {-1, type(answer) == 'table' and answer.err or tostring(answer)}
    errors[#errors + 1] = answer[2]
  end
  if ask[1] == 'take' then answers[#answers + 1] = answer end
end
local fine, wrong = pcall(write)
if not fine then  -- nobody has paid: nobody has got anything
  wrong = type(wrong) == 'table' and wrong.err or tostring(wrong)
  errors[#errors + 1] = wrong
  for at, answer in ipairs(answers) do
    if answer[1] == 1 then answers[at] = {-1, wrong} end
  end
end
return cjson.encode({answers, errors})
