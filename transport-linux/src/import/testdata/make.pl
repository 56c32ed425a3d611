#!/usr/bin/perl
# Makes syck.dat: a file of the form of wire/clacks.md section 13.3, whose YAML is written by Syck
# itself (Debian: libyaml-syck-perl). Every octet alone, first, in the middle and last, as a key
# and as a value; and texts that YAML could take for something else.
#
#     perl make.pl > syck.dat
use strict;
use warnings;
use YAML::Syck ();
$YAML::Syck::SortKeys = 1;

my @texts = map { my $c = chr; ($c, "$c.", ".$c", ".$c.") } 0 .. 255;
# A carriage return at the end is written as it is, and Syck itself does not read it again.
@texts = grep { !/\r\z/ } @texts;
push @texts, '', 'null', 'true', 'yes', 'no', 'y', '007', '1.5', '-1', '0x1f', '1e5', '---', '--- x', '...',
    '- x', '? x', ': x', 'x: y', 'x:', 'x #y', "it's", 'say "x"', "x\n\ny\n", "x\r\ny", ' x ', '{a: b}', '[a, b]',
    "x:\ty", "x\t#y", "-\ty", "?\ty", ",\ty", "x:\ry", "x\r#y", "1\n", "1.5\n",
    "\xc3\xa9 caf\xe9", 'word ' x 100, '<<';

my %store;
for my $text (@texts) {
    my $hex = unpack 'H*', $text;
    my %entry = (cachetime => '1795190334.18433', accesstime => '1795190335', deleted => 0);
    $store{"value $hex"} = { %entry, data => $text };
    $store{$text} = { %entry, data => $hex };
}
binmode STDOUT;
my $mark = "\0CLACKSV3";
print $mark, YAML::Syck::Dump(\%store), $mark;
