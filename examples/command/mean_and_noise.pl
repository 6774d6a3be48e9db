#!/usr/bin/perl
# A generator in another language than Python: each label gets its mean and deviation of training, as noise.
use strict; use warnings;
my $verb = shift @ARGV; my %o = map { s/^--//r } @ARGV;
sub volume { open my $f, '-|', 'gzip', '-dc', shift or die $!; binmode $f; local $/; my $v = <$f>; close $f or die; $v }
if ($verb eq 'fit-generator') {
    my (@count, @sum, @squares);
    for my $label (glob "$o{train}/labelsTr/*.nii.gz") {
        my @label = unpack 'x352 C*', volume($label);    # voxels begin at byte 352: bytes here, floats in images
        my @image = unpack 'x352 f<*', volume($label =~ s/labelsTr/imagesTr/r =~ s/\.nii\.gz$/_0000.nii.gz/r);
        $count[$label[$_]]++, $sum[$label[$_]] += $image[$_], $squares[$label[$_]] += $image[$_]**2 for 0 .. $#label;
    }
    open my $f, '>', "$o{out}/looks.txt" or die $!;
    for my $l (grep { $count[$_] } 0 .. $#count) {
        my $mean = $sum[$l] / $count[$l]; my $variance = $squares[$l] / $count[$l] - $mean**2;
        printf $f "%d %.4f %.4f\n", $l, $mean, $variance > 0 ? sqrt $variance : 0;
    }
} else {
    open my $f, '<', "$o{model}/looks.txt" or die $!; my %look = map { my ($l, @look) = split; $l => \@look } <$f>;
    srand $o{seed};
    for my $mask (sort glob "$o{masks}/labelsTr/*.nii.gz") {
        my $v = volume($mask); my @label = unpack 'x352 C*', $v;
        substr($v, 70, 4) = pack 's<s<', 16, 32;    # the same header, of floats
        my @painted = map { $look{$_}[0] + $look{$_}[1] * sqrt(3) * (rand() + rand() + rand() + rand() - 2) } @label;
        open my $g, '|-', 'gzip > ' . ($mask =~ s{.*/}{}r =~ s{(.*)}{'$o{out}/$1'}r) or die $!; binmode $g;
        print $g substr($v, 0, 352), pack 'f<*', @painted; close $g or die;
    }
}
