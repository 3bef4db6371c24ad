#!/bin/sh
# Nothing is taken on trust: no proof is left open, every Theorem of every file is asked what it rests on, and that is nothing
# beyond the axioms of the standard library's real numbers.
set -eu
cd "$(dirname "$0")"

allowed='ClassicalDedekindReals\.sig_forall_dec|ClassicalDedekindReals\.sig_not_dec'
allowed="$allowed|FunctionalExtensionality\.functional_extensionality_dep|Classical_Prop\.classic"

refuse() {
  echo "proofs/$1" >&2
  exit 1
}

for source in *.v; do
  case " $* " in *" ${source%.v} "*) ;; *) refuse "$source is not in the Makefile's list" ;; esac
done

for file in "$@"; do
  if grep -nwE 'Admitted|admit|give_up|Axioms?|Parameters?|Conjecture|bypass_check' "$file.v" >&2; then
    refuse "$file.v leaves something unproved"
  fi
  theorems=$(grep -oE 'Theorem [A-Za-z_][A-Za-z0-9_]* *:' "$file.v" | sed -E 's/Theorem ([A-Za-z0-9_]+).*/\1/')
  for theorem in $theorems; do
    grep -q "^Print Assumptions $theorem\.$" "$file.v" || refuse "$file.v: Theorem $theorem does not print its assumptions"
  done
  asked=$(grep -c '^Print Assumptions' "$file.v" || true)
  answered=$(grep -cE '^(Axioms:|Closed under the global context)$' "$file.assumptions" || true)
  [ "$asked" = "$answered" ] || refuse "$file.v asks for assumptions $asked times and got $answered answers: make clean"
  # Each assumption begins a line; its type goes on in lines that begin with blanks.
  if grep -vE "^( |Axioms:\$|Closed under the global context\$|($allowed)( |\$))" "$file.assumptions" >&2; then
    refuse "$file.v rests on more than the axioms of the real numbers"
  fi
  for theorem in $theorems; do echo "proofs/$file.v: $theorem"; done
done
