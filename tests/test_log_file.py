"""The log has every line of every process, whole, whoever turns the file over."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import sys
import threading

from tlstudio import log_file


def lines(folder):
    """All lines, the oldest first."""
    files = sorted(folder.glob("tlstudio.log*"), key=lambda file: int(file.suffix[1:]) if file.suffix != ".log" else 0)
    return [json.loads(line) for file in reversed(files) for line in file.read_bytes().splitlines()]


def test_the_window_and_the_terminal_write_lines_of_one_form(tmp_path):
    records = queue.SimpleQueue()
    listener = log_file.write_to(tmp_path, records)
    records.put(logging.LogRecord("tlstudio", logging.WARNING, "", 0, "from the window", None, None))
    listener.stop()
    code = "import sys, pathlib; from tlstudio import log_file; log_file.write_line(pathlib.Path(sys.argv[1]), 'cli', 40, {!r})"
    subprocess.run([sys.executable, "-c", code.format("Ü\n2"), tmp_path], check=True)
    first, second = lines(tmp_path)
    assert (first["text"], first["level"]) == ("from the window", "WARNING")
    assert (second["text"], second["level"], second["from"]) == ("Ü\n2", "ERROR", "cli")
    assert first.keys() == second.keys()
    assert first["process"] != second["process"]


def test_no_line_is_lost_or_torn_while_several_turn_the_file_over(tmp_path, monkeypatch):
    monkeypatch.setattr(log_file, "_BYTES", 2000)
    monkeypatch.setattr(log_file, "_OLD", 1000)

    def write(who):
        for number in range(100):
            log_file.write_line(tmp_path, "tlstudio", logging.INFO, f"{who} {number}")

    threads = [threading.Thread(target=write, args=(who,)) for who in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [line["text"] for line in lines(tmp_path)]
    for who in "ab":
        assert [text for text in texts if text.startswith(who)] == [f"{who} {number}" for number in range(100)]
    files = list(tmp_path.glob("tlstudio.log*"))
    assert len(files) > 5
    assert all(file.stat().st_size <= 2000 for file in files)


def test_only_so_many_old_ones_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(log_file, "_BYTES", 300)
    for number in range(40):
        log_file.write_line(tmp_path, "tlstudio", logging.INFO, str(number))
    assert len(list(tmp_path.glob("tlstudio.log*"))) == 5
    assert lines(tmp_path)[-1]["text"] == "39"
