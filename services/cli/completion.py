"""``limen completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_HOW = {
    "bash": "limen completion bash > ~/.local/share/bash-completion/completions/limen",
    "zsh": 'limen completion zsh > "${fpath[1]}/_limen"',
    "fish": "limen completion fish > ~/.config/fish/completions/limen.fish",
}


@click.command("completion", epilog="\b\n" + "\n".join(_HOW.values()))
@click.argument("shell", type=click.Choice(list(_HOW)))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in a shell."""
    completion = get_completion_class(shell)
    assert completion is not None
    root = ctx.find_root()
    click.echo(completion(root.command, {}, "limen", "_LIMEN_COMPLETE").source())
