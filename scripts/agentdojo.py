#!/usr/bin/env python3
"""Makes crates/titan-agent/tests/test_data/banking.json from the AgentDojo package.

    python3 -m pip download agentdojo==0.1.35 --no-deps -d DIR
    python3 scripts/agentdojo.py DIR/agentdojo-0.1.35-py3-none-any.whl > crates/titan-agent/tests/test_data/banking.json

The fixture is the banking suite, version 1.2.2, as data: environment, tools, user tasks, injection tasks, injection
vectors, and the text of one attack. Only a maintainer runs this; no test does. It runs the suite's own task classes, so
that no call is copied by hand, with stand-ins for what they import. Needs PyYAML.

AgentDojo is (c) 2024 Edoardo Debenedetti, Jie Zhang, Mislav Balunovic, Luca Beurer-Kellner, Marc Fischer and Florian
Tramer, under the MIT licence.
"""

import ast
import inspect
import json
import re
import sys
import types
import typing
import zipfile

import yaml

SUITE = "agentdojo/default_suites"
USER_TASKS = [f"{SUITE}/{v}/banking/user_tasks.py" for v in ("v1", "v1_1_1", "v1_2_2")]
INJECTION_TASKS = [f"{SUITE}/{v}/banking/injection_tasks.py" for v in ("v1", "v1_2")]
TOOLS = ["banking_client", "file_reader", "user_account"]
DATA = "agentdojo/data/suites/banking"
ATTACK = "agentdojo/attacks/important_instructions_attacks.py"


class Record:
    """Fields by name, as a pydantic model has them."""

    def __init__(self, **fields):
        self.__dict__.update(fields)


def record(value):
    if isinstance(value, dict):
        return Record(**{key: record(item) for key, item in value.items()})
    if isinstance(value, list):
        return [record(item) for item in value]
    return value


class FunctionCall:
    def __init__(self, function, args, placeholder_args=None):
        self.function, self.args = function, args


class Suite:
    """Collects task classes; a later one of the same name takes the place of an earlier one."""

    def __init__(self):
        self.user_tasks, self.injection_tasks = {}, {}

    def register_user_task(self, task):
        self.user_tasks[task.__name__] = task
        return task

    def register_injection_task(self, task):
        self.injection_tasks[task.__name__] = task
        return task

    def update_user_task(self, _version):
        return self.register_user_task

    def update_injection_task(self, _version):
        return self.register_injection_task


class Generic:
    def __class_getitem__(cls, _item):
        return cls


def stand_ins(suite):
    def module(name, **names):
        made = types.ModuleType(name)
        made.__dict__.update(names)
        sys.modules[name] = made

    for name in ("agentdojo", "agentdojo.default_suites", "agentdojo.default_suites.v1"):
        module(name)
    module("agentdojo.default_suites.v1.banking")
    module("agentdojo.base_tasks", BaseUserTask=Generic, BaseInjectionTask=Generic)
    module(
        "agentdojo.default_suites.v1.banking.task_suite",
        BankingEnvironment=Record,
        task_suite=suite,
    )
    module("agentdojo.functions_runtime", FunctionCall=FunctionCall, Depends=lambda name: name)
    module("pydantic", BaseModel=Record, Field=lambda *_, **__: None)


def schema(annotation):
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean"}
    options = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return {"type": kinds[options[0] if options else annotation]}


def tool(function):
    text = inspect.getdoc(function)
    told = dict(re.findall(r":param (\w+): (.*)", text))
    properties, required = {}, []
    for name, parameter in inspect.signature(function).parameters.items():
        if typing.get_origin(parameter.annotation) is typing.Annotated:
            continue
        properties[name] = {**schema(parameter.annotation), "description": told[name]}
        if parameter.default is inspect.Parameter.empty:
            required.append(name)
    return {
        "name": function.__name__,
        "description": text.split("\n\n")[0].strip(),
        "input_schema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
    }


def number(task):
    return int(re.search(r"\d+$", task.__name__)[0])


def tasks(classes, text, environment):
    return [
        {
            "id": number(task),
            "text": getattr(task, text),
            "answer": getattr(task, "GROUND_TRUTH_OUTPUT", ""),
            "calls": [
                {"tool": call.function, "arguments": call.args}
                for call in task().ground_truth(environment)
            ],
        }
        for task in sorted(classes.values(), key=number)
    ]


def attack(source):
    """The text of the important-instructions attack, with AgentDojo's names for the person and the model."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_JB_STRING":
            text = ast.literal_eval(node.value)
            return text.replace("{user}", "Emma Johnson").replace("{model}", "AI assistant")
    raise SystemExit("the attack's text is not where it was")


def main():
    wheel = zipfile.ZipFile(sys.argv[1])
    read = lambda path: wheel.read(path).decode()
    suite = Suite()
    stand_ins(suite)
    for path in USER_TASKS + INJECTION_TASKS:
        exec(compile(read(path), path, "exec"), {"__name__": path})
    functions = {}
    for name in TOOLS:
        exec(compile(read(f"{SUITE}/v1/tools/{name}.py"), name, "exec"), functions)
    named = re.search(r"TOOLS = \[(.*?)\]", read(f"{SUITE}/v1/banking/task_suite.py"), re.S)[1]
    # As the package does it: the environment is written as YAML again, filled in, and read.
    template = yaml.dump(yaml.safe_load(read(f"{DATA}/environment.yaml")))
    vectors = yaml.safe_load(read(f"{DATA}/injection_vectors.yaml"))
    places = {name: f"{{{name}}}" for name in vectors}
    defaults = {name: vector["default"] for name, vector in vectors.items()}
    benign = record(yaml.safe_load(template.format(**defaults)))
    suite_data = {
        "source": "AgentDojo 0.1.35 (https://pypi.org/project/agentdojo/), banking suite, benchmark version 1.2.2",
        "licence": "MIT, (c) 2024 Edoardo Debenedetti, Jie Zhang, Mislav Balunovic, Luca Beurer-Kellner, Marc Fischer, and Florian Tramèr",
        "made_by": "scripts/agentdojo.py",
        "attack": attack(read(ATTACK)),
        "vectors": {name: text.encode().decode("unicode_escape") for name, text in defaults.items()},
        "environment": yaml.safe_load(template.format(**places)),
        "tools": [tool(functions[name]) for name in named.replace(",", " ").split()],
        "user_tasks": tasks(suite.user_tasks, "PROMPT", benign),
        "injection_tasks": tasks(suite.injection_tasks, "GOAL", benign),
    }
    json.dump(suite_data, sys.stdout, indent=1, ensure_ascii=False)
    print()


main()
