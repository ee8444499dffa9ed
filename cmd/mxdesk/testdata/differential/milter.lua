-- Hands the mails of a case file (a Lua file that returns a list of them) to a
-- milter. Prints a line "name <tab> field" for each field of authentication
-- results it adds, "name <tab> refused" for a mail it refuses, "name <tab> died" where
-- it ends instead, and "name <tab>" in any case.
local function judge(conn, case)
	local function must(what, err)
		if err ~= nil then
			mt.echo(case.name .. ": " .. what .. ": " .. err)
			error(what)
		end
		return mt.getreply(conn) == SMFIR_CONTINUE
	end
	must("conninfo", mt.conninfo(conn, "client.example", case.ip))
	if not mt.test_option(conn, SMFIP_NOHELO) then must("helo", mt.helo(conn, case.helo)) end
	mt.macro(conn, SMFIC_MAIL, "i", "1")
	if not mt.test_option(conn, SMFIP_NOMAIL) then must("mail", mt.mailfrom(conn, "<" .. case.sender .. ">")) end
	if not mt.test_option(conn, SMFIP_NORCPT) then must("rcpt", mt.rcptto(conn, "<desk@desk.example>")) end
	for _, h in ipairs(case.headers) do
		if not must("header", mt.header(conn, h[1], h[2])) then return end
	end
	if not must("eoh", mt.eoh(conn)) then return end
	if case.body ~= "" and not mt.test_option(conn, SMFIP_NOBODY) then must("body", mt.bodystring(conn, case.body)) end
	if mt.eom(conn) ~= nil then
		mt.echo(case.name .. "\tdied")
		return true
	end
	local reply = mt.getreply(conn)
	if reply == SMFIR_REPLYCODE or reply == SMFIR_REJECT then mt.echo(case.name .. "\trefused") end
end

-- connect tries until the milter answers: one that ended is started anew.
local function connect()
	for _ = 1, 100 do
		local conn = mt.connect(socket, 50, 0.1)
		if conn ~= nil and mt.negotiate(conn, 6, 0x1ff, 0x1fffff) == nil then return conn end
		mt.sleep(0.1)
	end
	error("no milter")
end

for _, case in ipairs(dofile(cases)) do
	local conn = connect()
	local died = judge(conn, case)
	local n, line = 0, ""
	while line do
		mt.echo(case.name .. "\t" .. line:gsub("%s+", " "))
		line = mt.getheader(conn, "Authentication-Results", n)
		n = n + 1
	end
	mt.disconnect(conn, not died)
end
