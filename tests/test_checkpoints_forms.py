"""Weight files as people have them: what training scripts and wrappers put around, before and beside the tensors.

The kinds are those of public reports; files of `../shared/cases` and `../shared/data` were written by PyTorch, timm and
the original repository, the others are made here in the same form.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from support.commands import run
from support.weight_files import GOLDEN, SMALL, TENSORS, holds, random_checkpoint, random_tensors, refused, torch_save

from swiftformer_tf import LiteModel, SwiftFormerForImageClassification
from swiftformer_tf.checkpoints import Checkpoint
from swiftformer_tf.checkpoints.key_layouts import from_canonical
from swiftformer_tf.checkpoints.saving import save_folder
from swiftformer_tf.errors import CheckpointError

CASES = Path(__file__).parents[2] / "shared" / "cases"
AVERAGED = {key: tensor * 2 for key, tensor in TENSORS.items()}
ORIGINAL = {name: TENSORS[key] for key, name in from_canonical(TENSORS, "original").items()}


def under(prefix: str, tensors: dict[str, np.ndarray] = TENSORS) -> dict[str, np.ndarray]:
    return {prefix + key: tensor for key, tensor in tensors.items()}


# The mapping is found by what it holds.


@pytest.mark.parametrize("path", ["", "model_state_dict", "net", "ckpt.net", "a.b.c.d", "module"])
def test_the_mapping_is_found_under_any_name_and_depth(path: str, tmp_path: Path) -> None:
    content: Any = TENSORS
    for name in reversed(path.split(".") if path else []):
        content = {"epoch": 3, name: content, "optimizer": {"state": {0: {"exp_avg": np.zeros(2, np.float32)}}}}
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", content))
    assert holds(checkpoint)
    assert checkpoint.source.endswith(f"a.pt, {path!r}" if path else "a.pt")
    assert checkpoint.notes == ()


def test_a_mapping_in_a_list(tmp_path: Path) -> None:
    assert holds(Checkpoint.open(torch_save(tmp_path / "a.pt", {"models": [TENSORS], "x": (1, [2])})))


@pytest.mark.parametrize(
    ("tensors", "names", "taken"),
    [
        # timm's load_checkpoint(use_ema=True) takes state_dict_ema before model_ema before state_dict before model.
        (TENSORS, ("state_dict", "state_dict_ema"), "state_dict_ema"),
        (TENSORS, ("model", "model_ema"), "model_ema"),
        (TENSORS, ("model", "state_dict"), "state_dict"),
        # The original's main.py --eval loads checkpoint["model"].
        (ORIGINAL, ("model_ema", "model"), "model"),
    ],
)
def test_of_several_those_are_taken_that_the_layouts_reference_takes(
    tensors: dict[str, np.ndarray], names: tuple[str, str], taken: str, tmp_path: Path
) -> None:
    content = {name: {key: tensor * (name == taken) for key, tensor in tensors.items()} for name in names}
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", content))
    assert checkpoint.source.endswith(f"a.pt, {taken!r}")
    assert np.array_equal(checkpoint.tensors["head.bias"], TENSORS["head.bias"])
    (other,) = set(names) - {taken}
    layout = "timm" if tensors is TENSORS else "original"
    said = f"tensors in the {layout} layout, 2 labels)"
    assert checkpoint.notes == (f"taken: {taken!r} (97 {said}; also in the file: {other!r} (97 {said}",)


@pytest.mark.parametrize("word", ["state_dict_ema", "ema"])
def test_one_can_be_chosen(word: str, tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", {"model": ORIGINAL, "run": {"state_dict_ema": under("module.", AVERAGED)}})
    checkpoint = Checkpoint.open(path, weights=word)
    assert holds(checkpoint, AVERAGED)
    assert checkpoint.source.endswith("'run.state_dict_ema'")
    with pytest.raises(CheckpointError, match=r"weights='swa': expected the name of one of 'model' \(97 tensors in"):
        Checkpoint.open(path, weights="swa")


def test_the_commands_list_and_choose(tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", {"state_dict": TENSORS, "state_dict_ema": AVERAGED})
    listed = run("info", path)
    told = " ".join(listed.output.split())  # folded to the terminal
    assert "taken: 'state_dict_ema' (97 tensors" in told
    assert "also in the file: 'state_dict' (97 tensors" in told
    target = tmp_path / "b.safetensors"
    command = ["port", str(path), "--to", "timm", "-o", str(target), "--weights", "state_dict"]
    said = run(*command)
    assert said.exit_code == 0, said.output
    assert "taken: 'state_dict' (97 tensors" in said.stderr
    assert holds(Checkpoint.open(target))


@pytest.mark.parametrize(
    "arguments",
    [
        ("info", "WEIGHTS"),
        ("port", "WEIGHTS", "-o", "new.keras"),
        ("export", "WEIGHTS", "-o", "new", "--recipe", "float32"),
        ("predict", "WEIGHTS", "PHOTOGRAPH"),
        ("evaluate", "WEIGHTS", "PHOTOGRAPHS"),
        ("train", "PHOTOGRAPHS", "-o", "new", "--from", "WEIGHTS"),
        ("verify", "FILE", "--reference", "WEIGHTS", "--images", "PHOTOGRAPHS"),
        ("debug-quantization", "FILE", "--reference", "WEIGHTS", "--images", "PHOTOGRAPHS"),
    ],
)
def test_every_command_that_takes_a_checkpoint_lets_choose(
    arguments: tuple[str, ...],
    tmp_path: Path,
    folder: Path,
    saved: Path,
    lite: Callable[[str], LiteModel],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    path = torch_save(tmp_path / "a.pt", {"state_dict": TENSORS, "state_dict_ema": AVERAGED})
    lite("int8").save(tmp_path / "a.tflite")
    named = {"WEIGHTS": path, "PHOTOGRAPHS": folder, "FILE": tmp_path / "a.tflite"}
    named["PHOTOGRAPH"] = min(folder.rglob("*.png"))
    command = [str(named.get(word, word)) for word in arguments]
    said = run(*command, "--weights", "swa")
    assert said.exit_code == 2
    assert "a.pt: --weights swa: expected the name of one of 'state_dict' (97 tensors" in said.stderr
    # A file with one model has nothing to choose.
    command = [str(saved) if word == str(path) else word for word in command]
    assert "--weights ema: this kind of file has one model" in run(*command, "--weights", "ema").stderr
    assert not (tmp_path / "new").exists()


def test_several_that_nothing_tells_apart_are_listed(tmp_path: Path) -> None:
    path = torch_save(tmp_path / "a.pt", {"student": TENSORS, "teacher": AVERAGED})
    refused(path, "holds several weights: 'student' .*, 'teacher' .*; choose one, such as `weights='student'`$")
    assert holds(Checkpoint.open(path, weights="teacher"), AVERAGED)


def test_several_models_in_one_mapping(tmp_path: Path) -> None:
    """As ema_pytorch keeps them, with its counters."""
    both = under("online_model.") | under("ema_model.", AVERAGED) | {"step": np.int64(3) + np.zeros((), np.int64)}
    path = torch_save(tmp_path / "a.pt", {**both, "initted": np.array([True])})
    refused(path, "holds several weights: 'online_model' .*, 'ema_model'")
    assert holds(Checkpoint.open(path, weights="ema"), AVERAGED)


def test_tensors_that_occur_in_circles_are_found_once(tmp_path: Path) -> None:
    content: dict[str, Any] = {"model": TENSORS}
    content["again"] = [content, content["model"]] * 30
    assert holds(Checkpoint.open(torch_save(tmp_path / "a.pt", content)))


@pytest.mark.parametrize(
    ("content", "name"),
    [([TENSORS], "0"), ((TENSORS, {"epoch": 1}), "0"), ((3, [{"net": TENSORS}]), "1.0.net")],
    ids=["list", "tuple", "nested"],
)
def test_lists_and_tuples_at_the_top_are_read(content: Any, name: str, tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", content))
    assert holds(checkpoint)
    assert checkpoint.source.endswith(f"a.pt, {name!r}")


def test_a_list_of_tensors_is_said_to_have_no_names(tmp_path: Path) -> None:
    refused(
        torch_save(tmp_path / "a.pt", list(TENSORS.values())[:3]),
        "holds no tensors with names: found a list of 3, 3 of them tensors; expected a state dict",
    )
    refused(torch_save(tmp_path / "b.pt", [1, 2]), "holds no tensors with names: found a list of 2; expected")


# Prefixes.


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize(
    "prefix", ["model.", "module.", "backbone.", "net.", "model.module.", "a.b.c.", "encoder.", "network."]
)
@pytest.mark.parametrize("key_layout", ["original", "hf", "timm"])
def test_a_prefix_that_all_keys_share_is_left_out_and_told(
    key_layout: Any, prefix: str, suffix: str, tmp_path: Path
) -> None:
    names = from_canonical(TENSORS, key_layout)
    tensors = {prefix + names[key]: tensor for key, tensor in TENSORS.items()}
    path = tmp_path / f"a.{suffix}"
    torch_save(path, tensors) if suffix == "pt" else safetensors.numpy.save_file(tensors, path)
    checkpoint = Checkpoint.open(path)
    assert checkpoint.key_layout == key_layout
    assert holds(checkpoint)
    assert checkpoint.notes == (f"all keys begin with {prefix!r}, which was ignored",)


def test_what_fsdp_and_compiling_put_into_keys_is_left_out_and_told(tmp_path: Path) -> None:
    wrapped = {
        "_orig_mod._fsdp_wrapped_module." + key.replace(".blocks.", "._fsdp_wrapped_module.blocks."): tensor
        for key, tensor in TENSORS.items()
    }
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", wrapped))
    assert holds(checkpoint)
    told = "ignored in the keys, where PyTorch's wrappers put them: _orig_mod, _fsdp_wrapped_module"
    assert checkpoint.notes == (told,)


def test_what_belongs_to_another_module_is_named(tmp_path: Path) -> None:
    tensors = under("backbone.") | {"fc.weight": np.ones((3, 6), np.float32), "fc.bias": np.ones(3, np.float32)}
    message = refused(torch_save(tmp_path / "a.pt", tensors), "next to tensors of another module")
    assert r"(2): fc.weight, fc.bias; with PyTorch, save the state dict of the SwiftFormer alone" in message
    assert "torch.save(model.backbone.state_dict(), new_path)" in message
    tensors = under("0.") | {"2.weight": np.ones((3, 6), np.float32)}  # a Sequential
    message = refused(torch_save(tmp_path / "b.pt", tensors), "next to tensors of another module")
    assert "torch.save(model.get_submodule('0').state_dict(), new_path)" in message


def test_counters_and_losses_are_passed_over_by_name(tmp_path: Path) -> None:
    beside = {
        "n_averaged": np.array(3),
        "decay": np.array(0.5, np.float32),
        "initted": np.array([True]),
        "criterion.weight": np.ones(2, np.float32),
        "epoch": 7,
        "arch": "xs",
    }
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", under("module.") | beside))
    assert holds(checkpoint)
    passed = "ignored, since they are not weights: n_averaged, decay, initted, criterion.weight, epoch, arch"
    assert checkpoint.notes == ("all keys begin with 'module.', which was ignored", passed)


# Layouts of timm and of people's own heads.


def test_timms_feature_extractors_are_backbones(tmp_path: Path) -> None:
    tensors = random_tensors(SMALL.replace(id2label={}), final_norm=False)
    flat = {
        key.replace("stem.", "stem_", 1).replace("stages.", "stages_", 1): tensor for key, tensor in tensors.items()
    }
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", flat))
    assert (checkpoint.key_layout, checkpoint.has_final_norm, checkpoint.config.depths) == ("timm", False, (2, 1))
    assert holds(checkpoint, tensors)


@pytest.mark.parametrize("inner", ["1", "fc", "0.linear"])
def test_one_linear_layer_within_a_head_is_the_head(inner: str, tmp_path: Path) -> None:
    tensors = {
        key.replace("head.", f"head.{inner}.").replace("dist.", f"dist.{inner}."): x for key, x in TENSORS.items()
    }
    assert holds(Checkpoint.open(torch_save(tmp_path / "a.pt", tensors)))


def test_a_head_of_several_layers_is_named(tmp_path: Path) -> None:
    tensors = {key: x for key, x in TENSORS.items() if not key.startswith("head.")}
    for layer in "03":
        tensors |= {f"head.{layer}.weight": np.ones((6, 6), np.float32), f"head.{layer}.bias": np.ones(6, np.float32)}
    message = refused(
        torch_save(tmp_path / "a.pt", tensors), r"head has 2 layers \(head.0, head.3\), expected a linear"
    )
    assert "model.head = torch.nn.Identity()" in message


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("parametrizations.weight.original0",), r"torch.nn.utils.parametrize; .*remove_parametrizations\(module, 'we"),
        (("weight_g", "weight_v"), r"torch.nn.utils.weight_norm or .*remove_weight_norm\(module\)"),
        (("weight_orig", "weight_mask"), r"torch.nn.utils.prune; .*torch.nn.utils.prune.remove\(module, 'weight'\)"),
        (("base_layer.weight", "lora_A.default.weight"), r"LoRA; with PEFT, model = model.merge_and_unload\(\), then"),
    ],
)
@pytest.mark.parametrize("layer", ["head", "stages.0.blocks.0.pwconv1"])
def test_layers_that_have_first_to_be_computed_are_named(
    layer: str, names: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    """Under the names of PyTorch 2.15 and PEFT."""
    tensors = {key: x for key, x in TENSORS.items() if key != f"{layer}.weight"}
    tensors |= {f"{layer}.{name}": TENSORS[f"{layer}.weight"] for name in names}
    refused(torch_save(tmp_path / "a.pt", tensors), rf"{layer}\.[\w.]+: not a plain weight, but one made by {message}")
    # In another network of the file, they are nobody's business.
    beside = {"conv.weight_g": np.ones(2, np.float32)}
    assert holds(Checkpoint.open(torch_save(tmp_path / "b.pt", {"model": TENSORS, "discriminator": beside})))


@pytest.mark.parametrize("key_layout", ["original", "hf", "timm"])
def test_a_classifier_under_another_name_gets_a_cure_that_works(key_layout: Any, tmp_path: Path) -> None:
    names = from_canonical(random_tensors(SMALL.replace(distillation=False)), key_layout)
    tensors = {
        name.replace("head.", "classifier."): TENSORS[key]
        for key, name in names.items()
        if not key.startswith("head_dist.")
    }
    message = refused(
        torch_save(tmp_path / "a.pt", tensors), r"unexpected \(2\): classifier.weight, classifier.bias; if"
    )
    assert "torch.save({key.replace('classifier.', 'head.'): value for key, value in state_dict" in message
    mended = {key.replace("classifier.", "head."): tensor for key, tensor in tensors.items()}
    assert Checkpoint.open(torch_save(tmp_path / "b.pt", mended)).config.num_labels == SMALL.num_labels


def test_heads_without_a_bias(tmp_path: Path) -> None:
    tensors = {key: x for key, x in TENSORS.items() if key not in ("head.bias", "head_dist.bias")}
    checkpoint = Checkpoint.open(torch_save(tmp_path / "a.pt", tensors))
    zeros = {f"{head}.bias": np.zeros(2, np.float32) for head in ("head", "head_dist")}
    assert holds(checkpoint, TENSORS | zeros)
    assert checkpoint.notes == ("head.bias: not in the file, zeros", "head_dist.bias: not in the file, zeros")


def test_timm_wrapper_folders_there_and_back(tmp_path: Path) -> None:
    checkpoint = random_checkpoint(SMALL.replace(token_weights="l2"), key_layout="timm_wrapper")
    save_folder(checkpoint, tmp_path / "a", layout="timm_wrapper")
    keys = safetensors.numpy.load_file(tmp_path / "a" / "model.safetensors").keys()
    assert all(key.startswith("timm_model.") for key in keys)
    again = Checkpoint.open(tmp_path / "a")
    assert (again.key_layout, again.config.labels, again.notes) == ("timm_wrapper", ("cat", "dog"), ())
    assert holds(again)
    assert SwiftFormerForImageClassification.from_pretrained(tmp_path / "a").config.labels == ("cat", "dog")
    # Without this package's own record, as transformers writes it.
    safetensors.numpy.save_file(
        safetensors.numpy.load_file(tmp_path / "a" / "model.safetensors"), tmp_path / "a" / "model.safetensors"
    )
    assert Checkpoint.open(tmp_path / "a").config.labels == ("cat", "dog")


# The files themselves.

READ = {
    "06_builtin_names/set.pt": ("'state_dict'", ()),
    "07_prefixes/lightning.ckpt": ("'state_dict'", ("all keys begin with 'model.', which was ignored",)),
    "08_model_state_dict/tutorial.pt": ("'model_state_dict'", ()),
    "09_swa/swa.pt": (
        "swa.pt",
        ("all keys begin with 'module.', which was ignored", "ignored, since they are not weights: n_averaged"),
    ),
    "17_sequential_head/seqhead_o.pth": ("seqhead_o.pth", ()),
}


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize("name", READ)
def test_files_of_real_users_are_read(name: str) -> None:
    checkpoint = Checkpoint.open(CASES / name)
    source, notes = READ[name]
    assert checkpoint.source.endswith(source)
    assert (checkpoint.config.num_labels, checkpoint.notes) == (5, notes)


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("05_torchscript_message/traced.pt", "a TorchScript program"),
        ("06_builtin_names/whole_module.pt", "holds a timm.models.swiftformer.SwiftFormer, expected a state dict"),
    ],
)
def test_files_of_real_users_are_refused_for_what_they_are(name: str, message: str) -> None:
    refused(CASES / name, message)


def test_a_real_training_file_says_what_else_is_in_it() -> None:
    checkpoint = Checkpoint.open(GOLDEN / "training.pth")
    assert "also in the file: 'model_ema'" in checkpoint.notes[0]
    assert Checkpoint.open(GOLDEN / "training.pth", weights="ema").source.endswith("'model_ema'")
