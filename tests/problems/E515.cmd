compile copying.yaml -o nothing --forbid-copies
