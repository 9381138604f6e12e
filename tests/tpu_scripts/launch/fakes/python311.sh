# What an installation asks of it, answered at once: a Python takes a while to start.
case "$1 $2" in
  "-c "*) exit 0 ;;
  "-V ") echo "Python 3.11.99"; exit 0 ;;
  "-m venv") mkdir -p "$3/bin" && cp "$(command -v python3.11)" "$3/bin/python"; exit ;;
  "-m pip") for lock; do :; done; test -e "$lock"; exit ;;
esac
