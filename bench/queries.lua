-- Requests that differ in their query alone: where each goes has to be found out, its headers are those of the one before.

local before, after = wrk.format("GET"):match("^(GET %S+)( HTTP/1.1\r\n.*)$")
local count = 0

function request()
  count = count + 1
  return table.concat({before, "?at=", count, after})
end
