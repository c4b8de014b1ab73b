"""A client of yaml-language-server, the server that editors complete YAML with.

The server speaks the Language Server Protocol over standard input and output: each
message is JSON under a header that says its length. A text is given with `|` where the
cursor stands.
"""

import json
import queue
import subprocess
import threading

# What an editor sends of its settings: no schema but that which the file names.
SETTINGS = {
    "validate": True,
    "completion": True,
    "hover": True,
    "schemaStore": {"enable": False},
    "kubernetesCRDStore": {"enable": False},
}


class YamlServer:
    """A running server: use it in a `with`, which ends it.

    Args:
        command: How it is started, as a list.
        schema: Path of the JSON Schema that the texts follow.
        timeout: Seconds that one answer may take.
    """

    def __init__(self, command, schema, timeout=60):
        self.head = f"# yaml-language-server: $schema={schema.as_uri()}\n"
        self.folder = schema.parent
        self.timeout = timeout
        self.sent = self.opened = 0
        self.answers = queue.Queue()
        self.problems = {}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def __enter__(self):
        root = self.folder.as_uri()
        asked = {"completion": {"completionItem": {"snippetSupport": True}}}
        self._ask(
            "initialize",
            processId=None,
            rootUri=root,
            capabilities={
                "textDocument": asked | {"publishDiagnostics": {}},
                "workspace": {"configuration": True},
            },
        )
        self._tell("initialized")
        self._tell("workspace/didChangeConfiguration", settings={"yaml": SETTINGS})
        return self

    def __exit__(self, *_):
        try:
            self._ask("shutdown")
            self._tell("exit")
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()

    def completions(self, text):
        """{label: item} of what is offered where `|` stands, in the server's order."""
        where = self._open(text)
        found = self._ask("textDocument/completion", **where)
        return {item["label"]: item for item in found["items"]}

    def hover(self, text):
        """What is shown for the word at `|`, as Markdown."""
        found = self._ask("textDocument/hover", **self._open(text))
        return found["contents"]["value"] if found else ""

    def diagnostics(self, text):
        """[(line, the words under the squiggle, message), ...]; the first line is 1."""
        where = self._open(text, cursor=False)
        arrived = self.problems[where["textDocument"]["uri"]]
        lines, found = text.splitlines(), []
        for each in arrived.get(timeout=self.timeout):
            start, end = each["range"]["start"], each["range"]["end"]
            line = start["line"] - 1  # below the head
            stop = end["character"] if end["line"] == start["line"] else None
            under = lines[line][start["character"] : stop]
            found.append((line + 1, under, each["message"]))
        return found

    def _open(self, text, cursor=True):
        """Open a text as a new file: the place of its cursor."""
        before, mark, after = text.partition("|") if cursor else (text, "", "")
        if cursor and not mark:
            raise ValueError(f"a text needs `|` where the cursor is. Received: {text}")
        before = self.head + before
        self.opened += 1
        uri = (self.folder / f"{self.opened}.yaml").as_uri()
        self.problems[uri] = queue.Queue()
        self._tell(
            "textDocument/didOpen",
            textDocument={
                "uri": uri,
                "languageId": "yaml",
                "version": 1,
                "text": before + after,
            },
        )
        line, column = before.count("\n"), len(before.rpartition("\n")[2])
        return {
            "textDocument": {"uri": uri},
            "position": {"line": line, "character": column},
        }

    def _ask(self, method, **parameters):
        self.sent += 1
        self._send(id=self.sent, method=method, params=parameters or None)
        while True:
            answer = self.answers.get(timeout=self.timeout)
            if answer["id"] == self.sent:
                if "error" in answer:
                    raise RuntimeError(answer["error"]["message"])
                return answer["result"]

    def _tell(self, method, **parameters):
        self._send(method=method, params=parameters)

    def _send(self, **message):
        body = json.dumps({"jsonrpc": "2.0"} | message).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()

    def _listen(self):
        """Read what the server sends until it ends."""
        while head := self.process.stdout.readline():
            length = None
            while head.strip():
                name, _, value = head.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
                head = self.process.stdout.readline()
            message = json.loads(self.process.stdout.read(length))
            if "method" not in message:
                self.answers.put(message)
            elif message["method"] == "textDocument/publishDiagnostics":
                arrived = self.problems.get(message["params"]["uri"])
                if arrived is not None:
                    arrived.put(message["params"]["diagnostics"])
            elif message["method"] == "workspace/configuration":
                wanted = message["params"]["items"]
                found = [SETTINGS if i["section"] == "yaml" else None for i in wanted]
                self._send(id=message["id"], result=found)
            elif "id" in message:
                self._send(id=message["id"], result=None)
