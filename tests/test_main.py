"""`python -m jaxopt_notes`: the list of commands, and the way to each."""

import pytest

from jaxopt_notes import __main__


def test_it_lists_the_commands_with_a_line_each(capsys):
    for argv in ([], ["--help"]):
        assert __main__.main(argv) == 0
        lines = capsys.readouterr().out.splitlines()
        for name, about in __main__.COMMANDS.items():
            assert f"python -m jaxopt_notes.{name:<8}  {about}" in lines


@pytest.mark.parametrize("name", __main__.COMMANDS)
def test_each_command_has_options(name, capsys):
    with pytest.raises(SystemExit):
        __main__.main([name, "--help"])
    assert f"usage: python -m jaxopt_notes.{name} " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("word", "words"),
    [("trian", "did you mean train?"), ("Predict", "did you mean predict?"), ("zzz", "train, ")],
)
def test_an_unknown_word_names_the_nearest_command(word, words, capsys):
    assert __main__.main([word]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {word}: is not a command; ")
    assert words in error


def test_a_command_gets_the_rest_of_the_line(capsys):
    assert __main__.main(["train", "--lr", "1"]) == 2
    assert "did you mean --learning-rate?" in capsys.readouterr().err
