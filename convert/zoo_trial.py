"""Tries `zoo.py` on a hub of this machine: two small models of each library, then the faults that it must notice.

    PYTHONPATH=tests python convert/zoo_trial.py

Exit status 1, and the line that says what, where something is not as it must be.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import references
import timm
import timm.models
import torch
import transformers
import zoo_card
import zoo_state
from PIL import Image
from references import Architecture
from support.hub_server import Hub, hub_server

from swiftformer_tf import TRANSFORMS
from swiftformer_tf.images.labels import imagenet_classes
from swiftformer_tf.images.samples import photographs

# With few labels, int8 can nearly always tell the best two apart.
SIDE, LABELS = 64, 3
CARD = "---\nlicense: apache-2.0\n---\n# A model for a trial\n"
ARCHITECTURES = {
    "first": Architecture((1, 1, 2, 1), (16, 24, 32, 48), labels=LABELS),
    "second": Architecture((2, 1, 1, 1), (24, 32, 48, 64), labels=LABELS),
}
RECIPES = ("float32", "int8")


def publish(hub: Hub, folder: Path) -> list[str]:
    """Puts two models of each library on the hub, written by the libraries' own code; returns their ids."""
    names = []
    for seed, (name, architecture) in enumerate(ARCHITECTURES.items()):
        l2 = architecture.timm()
        references.randomize(l2, seed)
        _settle(l2, l2.head, l2.head_dist)
        uniform = architecture.hf()
        uniform.load_state_dict(references.hf_names(l2.state_dict()), strict=True)
        _settle(uniform, uniform.head, uniform.dist_head)
        home = folder / f"timm-{name}"
        model = timm.create_model(
            "swiftformer_xs",
            layers=list(architecture.depths),
            embed_dims=list(architecture.embed_dims),
            num_classes=LABELS,
            pretrained_cfg_overlay={"input_size": (3, SIDE, SIDE), "crop_pct": 1.0},
        )
        model.load_state_dict(l2.state_dict(), strict=True)
        timm.models.save_for_hf(
            model,
            str(home),
            model_args={"layers": architecture.depths, "embed_dims": architecture.embed_dims},
            safe_serialization=True,
        )
        names.append(_put(hub, f"timm/swiftformer_{name}.trial", home))
        home = folder / f"hf-{name}"
        uniform.config.image_size = SIDE
        uniform.save_pretrained(home)
        home.joinpath("preprocessor_config.json").write_text(
            json.dumps({"size": {"height": SIDE, "width": SIDE}, "do_normalize": True, "do_rescale": True})
        )
        names.append(_put(hub, f"MBZUAI/swiftformer-{name}", home))
    return names


def _settle(model: torch.nn.Module, *heads: torch.nn.Linear) -> None:
    """Makes a random model behave as a trained one where `verify` looks: integers keep its logits, and its answers are
    many. Blocks add a little to what flows by, and no label wins everywhere on the photographs that calibrate."""
    transform = TRANSFORMS["timm"].replace(size=(SIDE, SIDE))
    pictures = transform.normalize(photographs(transform)[0].pixels)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_scale" in name:
                parameter.clamp_(max=0.05)
        logits = torch.from_numpy(references.logits(model, pictures))
        mean, deviation = logits.mean(dim=0), logits.std(dim=0)
        for head in heads:
            head.weight.div_(deviation[:, None])
            head.bias.sub_(mean).div_(deviation)


def _put(hub: Hub, name: str, folder: Path) -> str:
    hub.repositories[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.repositories[name]["README.md"] = CARD.encode()
    return name


def start(hub: Hub, home: Path, output: Path, *models: str) -> "subprocess.Popen[str]":
    """`zoo.py` as its user starts it, with this hub instead of the public one."""
    recipes = [word for recipe in RECIPES for word in ("--recipe", recipe)]
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("zoo.py")), *models, "-o", str(output), *recipes],
        env=os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(hub: Hub, home: Path, output: Path, *models: str) -> tuple[int, str]:
    """Exit status and what was said."""
    process = start(hub, home, output, *models)
    said, _ = process.communicate()
    return process.returncode, said


def expect(holds: bool, what: str) -> None:
    """Says that something holds, or ends with what does not."""
    if not holds:
        sys.exit(f"FAIL zoo: {what}")
    print(f"ok   zoo: {what}", flush=True)


def interrupted(hub: Hub, folder: Path, names: list[str]) -> None:
    """Killed after its first file, it goes on there and ends with all of them."""
    output = folder / "zoo"
    process = start(hub, folder / "home", output, *names)
    first = output / names[0].replace("/", "_") / f"{names[0].replace('/', '_')}_float32.json"
    while not first.exists() and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    said, _ = process.communicate()
    expect(first.exists(), f"the first file is there when it is killed\n{said}")
    written = first.stat().st_mtime_ns
    status, said = run(hub, folder / "home", output, *names)
    expect(status == 0, f"four models are ported, compared, exported and verified\n{said}")
    expect(first.stat().st_mtime_ns == written, "an interrupted run goes on, and makes no file again")
    table = output.joinpath("README.md").read_text()
    expect(all(table.count(f"| {name} |") == len(RECIPES) for name in names), "the table has each file of each model")
    for name in names:
        home = output / name.replace("/", "_")
        card = home.joinpath("README.md").read_text()
        expect("license: apache-2.0" in card and f"base_model: {name}" in card, f"{home.name} has a model card")
        sums = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=home, capture_output=True)
        expect(sums.returncode == 0, f"{home.name}: the checksums are those of its files")


def refused(hub: Hub, folder: Path, names: list[str]) -> None:
    """A model that its library refuses costs one line, and none of those after it."""
    wrong, plain = "timm/swiftformer_refused.trial", "timm/swiftformer_plain.trial"
    hub.repositories[wrong], hub.repositories[plain] = (
        dict(hub.repositories[names[0]]),
        dict(hub.repositories[names[0]]),
    )
    config = json.loads(hub.repositories[wrong]["config.json"]) | {"architecture": "swiftformer_of_nobody"}
    hub.repositories[wrong]["config.json"] = json.dumps(config).encode()
    del hub.repositories[plain]["README.md"]
    output = folder / "refused-zoo"
    status, said = run(hub, folder / "home", output, wrong, plain)
    lines = [line for line in said.splitlines() if line.startswith("FAIL")]
    expect(status == 1 and "Traceback" not in said, f"a model that timm refuses fails without a traceback\n{said}")
    expect(
        len(lines) == 1 and lines[0].startswith(f"FAIL  {wrong}: RuntimeError: "), f"in one line with its name\n{said}"
    )
    log = output / f"{wrong.replace('/', '_')}.log"
    expect(str(log) in lines[0] and "swiftformer_of_nobody" in log.read_text(), "which names its traceback")
    table = output.joinpath("README.md").read_text()
    expect(table.count(f"| {plain} |") == len(RECIPES), "while the model after it is in the table")
    expect(f"* {wrong}: RuntimeError: " in table and "not done yet" not in table, "which has that line, too")
    card = output.joinpath(plain.replace("/", "_"), "README.md").read_text()
    expect("License: not named by the source" in card, "a repository without a card has no license")


def unreachable(hub: Hub, folder: Path, names: list[str]) -> None:
    """With the weights in the cache but no hub to ask for the license, nothing is made until there is one."""
    name, output = names[0], folder / "gone-zoo"
    (cached,) = folder.glob(f"home/hub/models--{name.replace('/', '--')}/snapshots/*/README.md")
    cached.unlink()
    gone = Hub()
    gone.endpoint = "http://127.0.0.1:9"
    status, said = run(gone, folder / "home", output, name)
    expect(status == 1 and f"FAIL  {name}: LocalEntryNotFoundError: " in said, f"no license without a hub\n{said}")
    home = output / name.replace("/", "_")
    expect(not home.exists(), "and no folder that says so")
    status, said = run(hub, folder / "home", output, name)
    expect(status == 0, f"the next run asks again\n{said}")
    expect("license: apache-2.0" in home.joinpath("README.md").read_text(), "and the card has the license")


def datasets(folder: Path) -> None:
    """Figures are ImageNet's only where the photographs have its classes."""
    for wnid in imagenet_classes():
        folder.joinpath("mine", "val", wnid).mkdir(parents=True)
    expect(zoo_card.dataset_type(folder / "mine") == "imagenet-1k", "1000 classes of ImageNet are imagenet-1k")
    folder.joinpath("mine", "val", "n01440764").rmdir()
    expect(zoo_card.dataset_type(folder / "mine") == "mine", "and 999 are what their folder is called")


def evaluated(hub: Hub, folder: Path) -> None:
    """Files are calibrated, verified and evaluated on photographs of ImageNet classes, in folders by their ids."""
    name, wnids = "MBZUAI/swiftformer-named", list(imagenet_classes())[:LABELS]
    hub.repositories[name] = dict(hub.repositories["MBZUAI/swiftformer-first"])
    config = json.loads(hub.repositories[name]["config.json"])
    config["id2label"] = {str(index): imagenet_classes()[wnid] for index, wnid in enumerate(wnids)}
    config["label2id"] = {label: int(index) for index, label in config["id2label"].items()}
    hub.repositories[name]["config.json"] = json.dumps(config).encode()
    parts = photographs(TRANSFORMS["hf"].replace(size=(SIDE, SIDE)))
    for part, pictures in zip(("train", "val"), parts, strict=True):
        for number, pixels in enumerate(pictures.pixels):
            path = folder / "imagenet" / part / wnids[number % LABELS] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
    output = folder / "evaluated-zoo"
    status, said = run(hub, folder / "home", output, name, "--photographs", str(folder / "imagenet"))
    expect(status == 0, f"a model is evaluated on a folder of photographs\n{said}")
    state = json.loads((output / name.replace("/", "_") / zoo_state.STATE).read_text())
    expect(set(state["accuracy"]) == set(RECIPES), "each file has an accuracy")
    card = (output / name.replace("/", "_") / "README.md").read_text()
    expect("type: accuracy" in card and "name: imagenet" in card, "which the card tells, with the photographs' name")


def faults(hub: Hub, folder: Path, names: list[str]) -> None:
    """A damaged download and wrong logits fail the model, and only it."""
    hub.damaged.add("model.safetensors")
    status, said = run(hub, folder / "damaged", folder / "damaged-zoo", names[0])
    expect(status == 1 and "was damaged during the download" in said, f"a damaged download fails\n{said}")
    hub.damaged.clear()
    mine = folder / "mine" / names[0].replace("/", "_") / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    status, said = run(hub, folder / "home", folder / "mine", names[0])
    expect(status == 1 and "was not made by zoo.py" in said and mine.exists(), f"a folder of others stays\n{said}")
    files = hub.repositories[names[1]]
    # Ours reads which attention type is meant; transformers has only the other one.
    config = json.loads(files["config.json"]) | {"token_weights": "l2"}
    files["config.json"] = json.dumps(config).encode()
    status, said = run(hub, folder / "wrong", folder / "wrong-zoo", names[1], names[0])
    expect(status == 1 and "logits differ from hf's" in said, f"wrong logits fail\n{said}")
    expect(not list(folder.glob(f"wrong-zoo/{names[1].replace('/', '_')}/*.tflite")), "and nothing of them is exported")
    expect(f"| {names[0]} |" in (folder / "wrong-zoo" / "README.md").read_text(), "while the other model is done")


def main() -> None:
    torch.manual_seed(0)
    transformers.logging.disable_progress_bar()
    with hub_server() as hub, tempfile.TemporaryDirectory() as folder:
        names = publish(hub, Path(folder))
        interrupted(hub, Path(folder), names)
        refused(hub, Path(folder), names)
        unreachable(hub, Path(folder), names)
        datasets(Path(folder) / "datasets")
        evaluated(hub, Path(folder))
        faults(hub, Path(folder), names)


if __name__ == "__main__":
    main()
