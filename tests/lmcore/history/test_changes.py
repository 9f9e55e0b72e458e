from lmcore.history.changes import changed_params, changed_stages


def stage(
    name: str, code: str = "1", lr: float = 0.1, inputs: str = "i", outputs: str = "o", **more
) -> dict:
    params = {
        "params.yaml": {"train_model": {"lr": lr, "seed": 0}},
        "code.json": {name: code, "versions": "torch==1"},
    }
    outs = [{"path": f"data/{name}", "md5": outputs}]
    return {
        "cmd": "python",
        "deps": [{"path": "data/x", "md5": inputs}],
        "params": params,
        "outs": outs,
        **more,
    }


def test_changed_params_names_values_that_differ_and_new_sections_once():
    a = {"lr": {"peak": 1, "warm": 2}, "models": ["x"], "gone": 1}
    b = {"lr": {"peak": 1, "warm": 3}, "models": ["x", "y"], "new": {"p": 1, "q": 2}}
    assert changed_params(a, b) == {
        "gone": (1, None),
        "lr.warm": (2, 3),
        "models": (["x"], ["x", "y"]),
        "new": (None, {"p": 1, "q": 2}),
    }
    assert changed_params(a, a) == {}
    assert changed_params({"suites": {}}, {"suites": {"cloze": None}}) == {
        "suites.cloze": (None, None)
    }


def test_changed_stages_tell_causes_from_what_followed():
    a = {"t": stage("t"), "e@x": stage("e@x"), "f": stage("f"), "gone": stage("gone")}
    b = {
        "t": stage("t", lr=0.2, outputs="p"),
        "e@x": stage("e@x", inputs="j", outputs="p"),
        "f": stage("f", code="2"),
        "new": stage("new"),
    }
    assert changed_stages(a, b) == {
        "gone": ["removed"],
        "t": ["train_model.lr", "outputs"],
        "e@x": ["inputs", "outputs"],
        "f": ["code"],
        "new": ["new"],
    }
    assert changed_stages(a, a) == {}


def test_changed_stages_leave_out_the_one_that_makes_code_json():
    fingerprint = {"outs": [{"path": "code.json", "md5": "1"}]}
    assert (
        changed_stages({"f": fingerprint}, {"f": {"outs": [{"path": "code.json", "md5": "2"}]}})
        == {}
    )


def test_changed_stages_new_library_and_command_are_causes():
    a, b = {"t": stage("t")}, {"t": stage("t", cmd="python -m")}
    b["t"]["params"] = {**b["t"]["params"], "code.json": {"t": "1", "versions": "torch==2"}}
    assert changed_stages(a, b) == {"t": ["command", "libraries"]}
