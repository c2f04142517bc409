-- Requests of which no two have the same head: what a client repeats cannot be recognised, it has to be read.

wrk.headers["Cookie"] = nil
local before, after = wrk.format("GET", "/varied/"):match("^(GET /varied/)( HTTP/1.1\r\n.-\r\n)\r\n$")
local count = 0

function request()
  count = count + 1
  local id = string.format("%016x", count * 2654435761)
  return table.concat({
    before, count, "?at=", id, after,
    "Cookie: session=", id, id, "; theme=dark\r\nTraceparent: 00-", id, id, "-", id, "-01\r\n\r\n",
  })
end
