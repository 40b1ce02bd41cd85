"""The search for what could open a connection, on lines that could and lines that could not."""

from __future__ import annotations

import pytest
from connections import connections


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import urllib.request", "urllib.request"),
        ("from urllib import request", "urllib.request"),
        ("from urllib import parse, request as ask", "urllib.request"),
        ("from urllib import *", "urllib.request"),
        ("from urllib.request import urlopen as get", "urllib.request"),
        ("import urllib\nurllib.request.urlopen('http://x')", "urllib.request"),
        ("from http import client", "http.client"),
        ("import os, socket", "socket"),
        ("import socket as s", "socket"),
        ("def f():\n    if 1: from socket import socket", "socket"),
        ("import ssl", "ssl"),
        ("import urllib3", "urllib3"),
        ("import urllib3.util", "urllib3"),
        ("import requests", "requests"),
        ("import asyncio", "asyncio"),
        ("from asyncio import open_connection", "asyncio"),
        ("from PySide6 import QtCore, QtNetwork", "PySide6.QtNetwork"),
        ("from PySide6.QtNetwork import QNetworkAccessManager", "PySide6.QtNetwork"),
        ("from multiprocessing import connection", "multiprocessing.connection"),
        ("from multiprocessing.connection import Client", "multiprocessing.connection"),
        ("import multiprocessing as mp\nmp.connection.Client(('x', 1))", "multiprocessing.connection"),
        ("import torch\ntorch.hub.load('a/b', 'c')", "torch.hub"),
        ("import torch as t\nt.hub.load('a/b', 'c')", "torch.hub"),
        ("from torch import hub", "torch.hub"),
        ("from torch.hub import load_state_dict_from_url", "load_state_dict_from_url"),
        ("import torch.distributed as dist", "torch.distributed"),
        ("from huggingface_hub import hf_hub_download", "hf_hub_download"),
        ("import huggingface_hub", "huggingface_hub"),
        ("hub.hf_hub_download('a', 'b')", "hf_hub_download"),
        ("snapshot_download('a/b')", "snapshot_download"),
        ("get = loader.load_state_dict_from_url", "load_state_dict_from_url"),
        ("MNIST('data', download=True)", "download="),
        ("MNIST('data', download=wanted)", "download="),
        ("timm.create_model(name, pretrained=True)", "pretrained="),
        ("timm.create_model(\n    name(1),\n    pretrained=wanted)", "pretrained="),
        ("timm.create_model(name, True)", "weights="),
        ("resnet18(pretrained=True)", "pretrained="),
        ("torchvision.models.get_model(name, weights='DEFAULT')", "weights="),
        ("ResNet18_Weights.DEFAULT.get_state_dict()", "get_state_dict"),
        ("import importlib\nimportlib.import_module('http.client')", "http.client"),
        ("__import__('socket')", "socket"),
        ("import subprocess\nsubprocess.run(['curl', address])", "curl"),
        ("os.system('wget http://x')", "wget"),
        ("subprocess.run(f'git clone {address}', shell=True)", "git"),
        ("logging.handlers.HTTPHandler('x', 'y')", "HTTPHandler"),
    ],
)  # fmt: skip
def test_a_line_that_could_open_a_connection_is_found(source, found):
    assert found in connections(source)


@pytest.mark.parametrize(
    "source",
    [
        "import urllib.parse, urllib.error",
        "from urllib.parse import urlsplit",
        "from http import HTTPStatus",
        "import multiprocessing",
        "from torch.utils import data",
        "from . import socket",
        "# import socket",
        "text = 'import socket'",
        "socket = holder.requests",
        "from PySide6.QtCore import QUrl",
        "timm.create_model(name, pretrained=False)",
        "torchvision.models.get_model(name, weights=None)",
        "plan(stages, pretrained=recipe.pretrained)",
        "MNIST('data', download=False)",
        "import subprocess\nsubprocess.run(['unshare', '-n'])",
        "print('Use pip or curl.')",
    ],
)
def test_other_lines_are_not(source):
    assert connections(source) == set()
