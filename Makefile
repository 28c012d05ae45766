.PHONY: test
test:
	test -x .venv/bin/python || python3 -m venv .venv
	.venv/bin/python -m pip install --quiet --editable '.[test]'
	.venv/bin/python -m pytest tests/http1
