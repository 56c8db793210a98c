"""The one script by which all processes of an installation count a vendor account together.

One run books what a process reports and grants what it asks for, atomically and on the server's
own clock: hosts' clocks do not matter. Two keys hold an account. The hash has the epoch, the
bucket, the day, the pause, the even paces, and of each process what it has under way, set aside
and waiting. The sorted set has every call that ended, by time.

A process reports what it has under way as it is, not as a difference, so that an answer lost on
the way mends itself. Ended calls carry the process's own number, so that one told twice counts
once. A process that is not heard of for a lease is taken for dead: what it had under way counts as
ended at that moment; one that leaves says so.

An epoch is one life of this memory. Whoever meets a new one knows that Redis has forgotten, and
reports its own part of the past again.
"""

from typing import Final

__all__ = ["SPEND"]

SPEND: Final = """
local spec, told = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local account, ended = KEYS[1], KEYS[2]
local mine = 'p:' .. told.me
local function whole(number) return string.format('%.0f', number) end

local is = {}
local flat = redis.call('HGETALL', account)
for i = 1, #flat, 2 do is[flat[i]] = flat[i + 1] end
if not is.epoch or not redis.call('ZSCORE', ended, is.epoch) then
  redis.call('DEL', account, ended)
  is = {epoch = 'e' .. whole(now) .. told.me, born = whole(now)}
  redis.call('ZADD', ended, -1, is.epoch)
end
local function kept(name, otherwise) return tonumber(is[name]) or otherwise end

-- The other processes: what they have under way, and who of them waits.
local running, aside, counted, charged = told.running, told.aside, told.counted, told.charged
local waiting, fewest = {0, 0, 0, 0}, {}
for name, said in pairs(is) do
  if string.sub(name, 1, 2) == 'p:' and name ~= mine then
    local has = {}
    for number in string.gmatch(said, '%S+') do has[#has + 1] = tonumber(number) end
    if has[3] <= now then
      for i = 1, has[1] do redis.call('ZADD', ended, now, name .. ':' .. whole(now) .. ':' .. i) end
      counted, charged = counted + has[1], charged + has[2]
      redis.call('HDEL', account, name)
    else
      running, aside = running + has[1], aside + has[2]
      for rank = 1, has[4] > now and 4 or 0 do
        local wait = has[4 + rank]
        waiting[rank] = waiting[rank] + wait
        if wait > 0 then fewest[rank] = math.min(fewest[rank] or has[1], has[1]) end
      end
    end
  end
end

-- What ended.
for i = 1, #told.ended, 2 do
  redis.call('ZADD', ended, now - told.ended[i + 1], told.me .. ':' .. whole(told.ended[i]))
end
if told.gone then
  for i = 1, told.running do redis.call('ZADD', ended, now, mine .. ':' .. i) end
  counted, charged = counted + told.running, charged + told.aside
  running, aside = running - told.running, aside - told.aside
end
redis.call('ZREMRANGEBYSCORE', ended, 0, now - spec.horizon)
local total = redis.call('ZCARD', ended) - 1

local windows, used, even = spec.windows, {}, {}
for i = 1, #windows do
  used[i] = redis.call('ZCOUNT', ended, now - windows[i].seconds + 1, '+inf')
  even[i] = kept('even' .. i, now)
end

local bucket, level, capacity, restore = spec.bucket, 0, 0, 0
local slice, spent, before = math.floor(now / spec.pace), 0, 0
if bucket then
  capacity, restore = kept('capacity', bucket.capacity), kept('restore', bucket.restore)
  if told.capacity then capacity, restore = told.capacity, told.restore end
  level = kept('level', capacity) + math.max(0, now - kept('at', now)) / 1000000 * restore
  level = math.min(level, capacity, told.level or capacity) - charged
  if told.left and (told.left < level - aside or told.left > level) then level = told.left end
  if kept('slice', slice) == slice then
    spent, before = kept('spent', 0), kept('before', 0)
  elseif kept('slice', 0) == slice - 1 then
    before = kept('spent', 0)
  end
  spent = spent + charged
end

local daily, known, most_daily, ask_at = spec.daily, 0, 0, kept('ask_at', 0)
if daily then
  known, most_daily = kept('known', 0) + counted, kept('limit', daily.limit)
  if told.used then
    known, most_daily = told.again and math.max(known, told.used) or told.used, told.limit
  end
  local low = most_daily - math.floor(most_daily * daily.reserve + 0.5)
  if known >= low and (counted > 0 or told.used) then ask_at = now + daily.ask_again end
end
local paused = math.max(kept('paused', 0), now + told.pause)

-- In how many microseconds a call could go, and whether another call's end might let it.
local under_way = told.running
local function waits(rank, cost)
  local high, longest, asks = rank <= spec.lowest_high, math.max(0, paused - now), false
  for better = 1, rank do
    if waiting[better] > 0 then asks = true end
  end
  if spec.concurrency and not asks then
    local theirs = fewest[rank + 1]
    asks = running >= spec.concurrency or (theirs ~= nil and under_way > theirs)
  end
  for i = 1, #windows do
    local window = windows[i]
    if not high and window.ahead then
      longest = math.max(longest, even[i] - window.ahead - now)
    end
    local over = used[i] + running - (high and window.limit or window.low)
    if over >= used[i] then
      asks = true
    elseif over >= 0 then
      local at = total - used[i] + over + 1
      local first = redis.call('ZRANGE', ended, at, at, 'WITHSCORES')
      longest = math.max(longest, tonumber(first[2]) + window.seconds - now)
    end
  end
  if bucket then
    local left = math.max(bucket.rounding, high and 0 or capacity * bucket.reserve)
    left = math.min(left, math.max(0, capacity - cost))
    local short = cost + left - (level - aside)
    if short > 0 then longest = math.max(longest, short / restore * 1000000) end
  end
  if daily then
    local left = high and 0 or math.floor(most_daily * daily.reserve + 0.5)
    if known + running >= most_daily - left and (now < ask_at or running > 0) then
      longest = math.max(longest, 1000000, ask_at - now)
    end
  end
  return longest, asks
end

local granted, wait, asks = 0, 0, false
local own = told.waiting
for i = 1, #told.asked, 2 do
  local rank, cost = told.asked[i], told.asked[i + 1]
  wait, asks = waits(rank, cost)
  if wait > 0 or asks then break end
  granted, running, under_way, aside = granted + 1, running + 1, under_way + 1, aside + cost
  own[rank + 1] = own[rank + 1] - 1
  for w = 1, #windows do even[w] = math.max(even[w], now) + windows[w].apart end
  told.aside = told.aside + cost
end

local keep = {'epoch', is.epoch, 'born', is.born, 'paused', whole(paused)}
local function put(name, number)
  keep[#keep + 1] = name
  keep[#keep + 1] = string.format('%.17g', number)
end
for i = 1, #windows do put('even' .. i, even[i]) end
if bucket then
  put('level', level) put('at', now) put('slice', slice) put('spent', spent) put('before', before)
  put('capacity', capacity) put('restore', restore)
end
if daily then put('known', known) put('limit', most_daily) put('ask_at', ask_at) end
if told.gone then
  redis.call('HDEL', account, mine)
else
  keep[#keep + 1] = mine
  keep[#keep + 1] = under_way .. ' ' .. string.format('%.17g', told.aside) .. ' '
    .. whole(now + spec.lease) .. ' ' .. whole(now + spec.patience) .. ' ' .. table.concat(own, ' ')
end
redis.call('HSET', account, unpack(keep))
redis.call('PEXPIRE', account, spec.ttl)
redis.call('PEXPIRE', ended, spec.ttl)

for rank = 1, 4 do waiting[rank] = waiting[rank] + own[rank] end
local lately = redis.call('ZCOUNT', ended, now - spec.pace + 1, '+inf')
return cjson.encode({
  granted = granted, wait = wait / 1000000, asks = asks,
  epoch = is.epoch, age = (now - is.born) / 1000000,
  running = running, waiting = waiting, used = #used > 0 and used or nil,
  level = level, aside = aside, capacity = capacity, restore = restore,
  known = known, limit = most_daily, paused = math.max(0, paused - now) / 1000000,
  pace = lately * 1000000 / spec.pace,
  spending = (spent + before * (1 - now % spec.pace / spec.pace)) * 1000000 / spec.pace
})
"""
